"""One of two apps that feed each other: the first posts a ping, the second answers with a pong of its own."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from flask import Flask
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event
from flask_condor import resolve_events_manager
from flask_condor.retry import Retry
from flask_condor.webhook import webhook

from tests.partners import LOOPBACK
from tests.partners import SECRET


def create_app() -> Flask:
    app = Flask(f"feeding-{os.environ['SIDE']}", instance_path=os.environ["HOME_OF_APP"])
    app.config["CONDOR_TRIGGER_SECRETS"] = [SECRET]
    Condor(app, register_events=register_events)
    return app


def register_events() -> None:
    events_manager = resolve_events_manager()
    other = webhook(os.environ["OTHER"], secret=SECRET, networks=LOOPBACK)
    posted, heard, job = ("ping", "pong", note) if os.environ["SIDE"] == "first" else ("pong", "ping", answer)
    events_manager.register(posted, other, run="queued", retry=Retry(wait=0.2))
    events_manager.register(heard, job)


def answer(event: Event[Any], ctx: Context) -> None:
    ctx.events.fire(Event("pong", {"to": event.payload["number"]}))


def note(event: Event[Any], ctx: Context) -> None:
    with Path(os.environ["HOME_OF_APP"], "heard").open("a") as file:
        file.write(json.dumps([event.payload["to"], event.source, event.depth]) + "\n")
