"""An app whose every request fires an event that is recorded; the log's database is named by the environment."""

from __future__ import annotations

import os

from flask import Flask
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event
from flask_condor import ctx


def first(event: Event[str], ctx: Context) -> None: ...


def second(event: Event[str], ctx: Context) -> None: ...


def afterwards(event: Event[str], ctx: Context) -> None: ...


app = Flask(__name__)
app.config["CONDOR_DATABASE_URL"] = os.environ["CONDOR_DATABASE_URL"]
Condor(app)
events_manager = app.extensions["condor"]
events_manager.register("request.fired", first, second)
events_manager.register("request.fired", afterwards, run="after_response")
events_manager.register("app.loaded", first)
events_manager.fire(Event("app.loaded", os.getpid()))


@app.get("/<number>")
def fire(number: str) -> str:
    return ctx.events.fire(Event("request.fired", {"number": number, "pid": os.getpid()})).id
