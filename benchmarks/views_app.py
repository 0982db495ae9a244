"""Two views for views.py and overhead.py: one fires an event with three jobs, the other calls the three functions."""

from __future__ import annotations

from flask import Flask
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event
from flask_condor import ctx

NAME = "password-changed"


def count_letters(event: Event, ctx: Context) -> None:
    len(event.payload["user"])


def make_greeting(event: Event, ctx: Context) -> None:
    "Hello ".join(event.payload["user"])


def make_lower(event: Event, ctx: Context) -> None:
    event.payload["user"].lower()


class PlainEvent:
    __slots__ = ("name", "payload")

    def __init__(self, name: str, payload: dict[str, str]) -> None:
        self.name = name
        self.payload = payload


app = Flask(__name__)
app.config.from_prefixed_env()
Condor(app)
app.extensions["condor"].register(NAME, count_letters, make_greeting, make_lower)


@app.get("/fires")
def fires() -> dict[str, str]:
    ctx.events.fire(Event(NAME, {"user": "Ada"}))
    return {"status": "changed"}


@app.get("/calls")
def calls() -> dict[str, str]:
    event = PlainEvent(NAME, {"user": "Ada"})
    count_letters(event, ctx)  # type: ignore[arg-type]  # a plain stand-in for the event
    make_greeting(event, ctx)  # type: ignore[arg-type]  # as above
    make_lower(event, ctx)  # type: ignore[arg-type]  # as above
    return {"status": "changed"}
