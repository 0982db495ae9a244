"""The app of ingress.py: takes events over HTTP, and with STORES=no answers the same without storing any."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from flask import Flask
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor.ingress import accepting
from flask_condor.ingress.accepting import Accepted
from flask_condor.ingress.accepting import draft
from flask_condor.ingress.accepting import refuse_unwanted
from flask_condor.ingress.sending import Sender
from flask_condor.ingress.sending import confirm

NAME = "order.paid"


def ship(event: Event[Any], ctx: Context) -> None:
    """Stand in for a job; no worker runs here."""


def accept_nothing(manager: EventsManager, incoming: Sequence[Any], sender: Sender, arrival: Any) -> list[Accepted]:
    """Do all that accepting does but its writing, and ask for the token in a transaction that only reads."""
    for one in incoming:
        refuse_unwanted(manager, one.name, sender)
    drafts = [draft(manager, one, arrival) for one in incoming]
    with manager.log.read() as connection:
        confirm(connection, sender)
    return [Accepted(one.event.id, one.event.name, one.payload, not one.jobs) for one in drafts]


def create_app() -> Flask:
    if os.environ.get("STORES") == "no":
        accepting.accept = accept_nothing
    app = Flask(__name__)
    app.config.from_prefixed_env()
    app.config["CONDOR_TRIGGER_BACKLOG"] = 10**9
    Condor(app)
    app.extensions["condor"].register(NAME, ship, run="queued")
    return app
