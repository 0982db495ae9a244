"""An app that takes events over HTTP, for tests: in debug mode, so that whoever is at this machine may post."""

from __future__ import annotations

import json
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask
from flask_condor import Condor
from flask_condor import EventsManager
from flask_condor.edge_models import rejections
from flask_condor.models import deliveries
from flask_condor.models import events
from sqlalchemy import Table
from sqlalchemy import select
from werkzeug.test import TestResponse

TABLES = {"events": events, "deliveries": deliveries, "rejections": rejections}


def make_manager(url: str, set_up: Callable[[Flask], object] = bool, **settings: Any) -> EventsManager:
    """Return the events manager of a new app.

    :param set_up: called with the app before it gets its Condor. :param settings: its ``CONDOR_*``, in lower case.
    """
    app = Flask("ingress")
    app.debug = True
    app.config["CONDOR_DATABASE_URL"] = url
    app.config |= {f"CONDOR_{name.upper()}": value for name, value in settings.items()}
    set_up(app)
    Condor(app)
    manager: EventsManager = app.extensions["condor"]
    return manager


@contextmanager
def ingress(url: str, set_up: Callable[[Flask], object] = bool, **settings: Any) -> Iterator[EventsManager]:
    """Do as :func:`make_manager`, and close its connections at the end of the block."""
    manager = make_manager(url, set_up, **settings)
    try:
        yield manager
    finally:
        manager.log.engine.dispose()


def post(manager: EventsManager, body: Any, *, kind: str = "application/json", **headers: str) -> TestResponse:
    """Post *body*, as JSON unless it is bytes; *headers* with ``_`` in place of ``-``."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return manager.app.test_client().post("/trigger", data=data, content_type=kind, headers=sent)


def rows(manager: EventsManager, name: str) -> list[dict[str, Any]]:
    """Return what a table holds: "events", "deliveries" or "rejections"."""
    table: Table = TABLES[name]
    with manager.log.read() as connection:
        found = connection.execute(select(table).order_by(*table.primary_key.columns)).mappings()
        return [dict(row) for row in found]
