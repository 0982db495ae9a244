"""An app in which each request fires events with its own id, and counts those that reach another request's jobs."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

from flask import Flask
from flask import Response
from flask import abort
from flask import g
from flask import request
from flask import stream_with_context
from flask.typing import ResponseReturnValue
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event
from flask_condor import ctx
from flask_condor import resolve_events_manager

FIRED = "request.fired"
counts = Counter(ran=0, mismatched=0)
counting = threading.Lock()
made_before_the_fork = Event("made by the parent").id


def check(event: Event[str], ctx: Context) -> None:
    """Compare the id in the payload with that of the request in the context and of Flask's own request."""
    given = ctx.request.args["id"] if ctx.request else None
    with counting:
        counts["ran"] += 1
        counts["mismatched"] += not (event.payload == given == request.args["id"])


def fire_nested(event: Event[str], ctx: Context) -> None:
    ctx.events.fire(Event("request.nested", event.payload))


def fail_for_some(event: Event[str], ctx: Context) -> None:
    if request.path == "/failing-job":
        raise ValueError("this request's job fails")


def register_events() -> None:
    manager = resolve_events_manager()
    manager.register(FIRED, check, fail_for_some, fire_nested, check_again)
    manager.register(FIRED, check, run="after_response")
    manager.register("request.nested", check)


def check_again(event: Event[str], ctx: Context) -> None:
    check(event, ctx)


def create_app() -> Flask:
    app = Flask("isolation")
    Condor(app, register_events=register_events)

    def fire() -> str:
        identifier = request.args["id"]
        ctx.events.fire(Event(FIRED, identifier))
        return identifier

    @app.get("/plain")
    @app.get("/failing-job")
    def plain() -> str:
        return fire()

    @app.get("/abort")
    def aborting() -> ResponseReturnValue:
        fire()
        abort(404)

    @app.get("/crash")
    def crash() -> ResponseReturnValue:
        fire()
        raise LookupError("this view crashes")

    @app.get("/stream")
    def stream() -> ResponseReturnValue:
        def generate() -> Iterator[str]:
            yield ""
            yield fire()

        return Response(stream_with_context(generate()))

    @app.get("/teardown")
    def tear() -> str:
        g.fire_at_teardown = True
        return request.args["id"]

    @app.teardown_request
    def teardown(error: BaseException | None) -> None:
        if g.pop("fire_at_teardown", False):
            fire()

    add_reports(app)
    return app


def add_reports(app: Flask) -> None:
    @app.get("/id")
    def event_id() -> str:
        return ctx.events.emit("made by a worker").id

    @app.get("/counts")
    def show_counts() -> dict[str, Any]:
        return {"pid": os.getpid(), "parent's id": made_before_the_fork, **counts}


app = create_app()
