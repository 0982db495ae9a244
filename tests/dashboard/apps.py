"""Apps with a dashboard, for its tests, and clients that use it as a browser does."""

from __future__ import annotations

import re
from collections.abc import Callable
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask
from flask import Request
from flask.testing import FlaskClient
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventsManager
from werkzeug.security import generate_password_hash
from werkzeug.test import TestResponse

USERS = {"ada": generate_password_hash("correct horse", "pbkdf2:sha256:1")}
ADA = ("ada", "correct horse")
SAME_SITE = {"Sec-Fetch-Site": "same-origin"}
TOKEN = re.compile(r'name="condor_form" value="([\w-]+)"')


def send_mail(event: Event[Any], ctx: Context) -> None:
    """A queued job."""


def register_events() -> None:
    from flask_condor import resolve_events_manager

    resolve_events_manager().register("user.registered", send_mail, run="queued")


def make_app(
    folder: Path,
    *,
    users: dict[str, str] | None = None,
    authorize: Callable[[str, Request], bool] | None = None,
    debug: bool = False,
    **settings: object,
) -> Flask:
    """Return an app with one event, whose log is an SQLite file in *folder* unless *settings* say otherwise."""
    app = Flask("with a dashboard", instance_path=str(folder))
    app.testing, app.debug = True, debug
    app.config["CONDOR_DATABASE_URL"] = f"sqlite:///{folder / 'condor.db'}"
    app.config["CONDOR_DASHBOARD_USERS"] = users or {}
    app.config |= settings
    Condor(app, register_events=register_events, authorize=authorize)
    return app


def manager_of(app: Flask) -> EventsManager:
    manager: EventsManager = app.extensions["condor"]
    return manager


def dashboard_rules(app: Flask) -> list[tuple[str, str]]:
    """Return each route of the dashboard with each method, as a path that could be."""
    found = []
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith("condor_dashboard."):
            path = re.sub(r"<(?:(int|path):)?\w+>", lambda part: "1" if part[1] == "int" else "condor.css", rule.rule)
            found += [(path, method) for method in sorted(rule.methods or ())]
    return found


def token_of(client: FlaskClient, path: str = "/condor/tests/form", **options: Any) -> str:
    """Return the token of a form on a page; the client then has its cookie."""
    page = client.get(path, **options)
    found = TOKEN.search(page.text)
    assert found, page.text
    return found[1]


def press(
    client: FlaskClient, path: str, token: str, fields: Mapping[str, object] | None = None, **options: Any
) -> TestResponse:
    """Send a form of the dashboard, as a browser does."""
    headers = {**SAME_SITE, **options.pop("headers", {})}
    return client.post(path, data={"condor_form": token, **(fields or {})}, headers=headers, **options)
