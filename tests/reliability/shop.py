"""The shop: the app under test. Its views insert an order and fire an event for it, in one transaction."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

from flask import Flask
from flask import Response
from flask import request
from flask.typing import ResponseReturnValue
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event
from flask_condor import ctx
from flask_condor import resolve_events_manager
from flask_condor.errors import LogUnavailable
from flask_condor.retry import Retry
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import insert
from sqlalchemy import update
from sqlalchemy.event import listen
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column

from tests.reliability.bad_jobs import bad
from tests.reliability.releases import register_release
from tests.reliability.witness import FILE
from tests.reliability.witness import note

RETRY = Retry(wait=0.1, backoff="constant")
TIMEOUT = 2.0
"""Seconds that a bad job may take."""


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[str] = mapped_column(primary_key=True)
    shipped: Mapped[int] = mapped_column(default=0)


db = SQLAlchemy(model_class=Base)


def create_app() -> Flask:
    """Make the app; its settings are the environment's ``SHOP_*``."""
    folder = Path(os.environ[FILE]).parent
    app = Flask("shop", instance_path=str(folder))
    app.config.from_prefixed_env("SHOP")
    if file := app.config.get("LOG_FILE"):
        logging.basicConfig(filename=file, level=logging.INFO)
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = engine_options(app.config["SQLALCHEMY_DATABASE_URI"])
    if app.config.get("IS_FAST"):
        app.config["SQLALCHEMY_ENGINE_OPTIONS"]["connect_args"]["factory"] = FastConnection
    db.init_app(app)
    Condor(app, register_events=register_events)
    app.post("/orders/<name>/<order_id>")(order)
    app.post("/events/<name>/<event_id>")(fire_alone)
    app.register_error_handler(LogUnavailable, try_again)
    app.after_request(end)
    app.register_error_handler(SQLAlchemyError, try_again)
    return app


def engine_options(url: str) -> dict[str, Any]:
    if url.startswith("sqlite"):
        return {"connect_args": {"timeout": 12}}
    return {"pool_pre_ping": True, "max_overflow": 50}


class FastConnection(sqlite3.Connection):
    """Does not flush the write-ahead log at each commit."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.execute("PRAGMA synchronous = NORMAL")


def try_again(error: Exception) -> ResponseReturnValue:
    ctx.logger.warning("503: %s", error)
    return {"error": str(error)}, 503, {"Retry-After": "1"}


def order(name: str, order_id: str) -> ResponseReturnValue:
    """Insert an order and fire *name*; commit, roll back, or be killed before, right at or after the commit."""
    end = request.args.get("end", "commit")
    db.session.execute(insert(Order).values(id=order_id, shipped=0))
    ctx.events.fire(Event(name, request.args.to_dict(), order_id))
    if end == "killed before":
        be_killed()
    if end == "killed at":
        listen(db.session(), "after_commit", be_killed)
    if end == "rollback":
        db.session.rollback()
        return {"id": order_id}, 409
    db.session.commit()
    if end == "killed after":
        be_killed()
    return {"id": order_id}, 201


def be_killed(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def end(response: Response) -> Response:
    """Tell which process answers; be killed before the answer is sent, when the request asks for it."""
    response.headers["X-Process"] = str(os.getpid())
    if request.headers.get("X-Ends") == "killed":
        be_killed()
    return response


def fire_alone(name: str, event_id: str) -> ResponseReturnValue:
    """Fire *name* with no transaction of the app's around it."""
    delay = request.args.get("delay", type=float)
    ctx.events.fire(Event(name, request.args.to_dict(), event_id), delay=delay)
    return {"id": event_id}, 201


def say(event: Event[Any], ctx: Context, word: str) -> None:
    note(event.id, ctx.delivery.attempt if ctx.delivery else 0, word)


def ok(event: Event[Any], ctx: Context) -> int:
    """Do nothing but be seen, and return the number of the attempt."""
    say(event, ctx, "begun")
    return ctx.delivery.attempt if ctx.delivery else 0


def sleep(event: Event[Any], ctx: Context) -> int:
    """Take a while, and return the number of the attempt."""
    say(event, ctx, "begun")
    time.sleep(float(event.payload["seconds"]))
    say(event, ctx, "ended")
    return ctx.delivery.attempt if ctx.delivery else 0


def fail(event: Event[Any], ctx: Context) -> None:
    """Raise, always."""
    say(event, ctx, "begun")
    raise ValueError("this job always fails")


def tx(event: Event[Any], ctx: Context) -> None:
    """Look for the order, and say so when there is none; mark it as shipped."""
    say(event, ctx, "begun")
    shipped = db.session.execute(update(Order).where(Order.id == event.id).values(shipped=Order.shipped + 1))
    if not shipped.rowcount:  # type: ignore[attr-defined]  # of the cursor of an UPDATE
        say(event, ctx, "missing")
    db.session.commit()


def nest(event: Event[Any], ctx: Context) -> None:
    """Fire one more event, whose id follows from this one's."""
    say(event, ctx, "begun")
    ctx.events.fire(Event("ok", {}, child_of(event.id)))


def child_of(id: str) -> str:
    return f"{id}.1"


def again(event: Event[Any], ctx: Context) -> None:
    """Fire as many events of the same kind as the payload says: a bomb."""
    say(event, ctx, "begun")
    for number in range(int(event.payload["times"])):
        ctx.events.fire(Event("again", event.payload, f"{event.id}.{number}"))


def register_events() -> None:
    events_manager = resolve_events_manager()
    for job in (ok, sleep, fail, tx, nest):
        events_manager.register(job.__name__, job, run="queued", retry=RETRY)
    events_manager.register("again", again, run="queued", retry=Retry(max_attempts=1))
    events_manager.register("now", sleep)
    events_manager.register("both", ok, run="queued")
    events_manager.register("both", sleep)
    events_manager.register("bad", bad, run="queued", retry=RETRY, timeout=TIMEOUT)
    register_release(events_manager)
