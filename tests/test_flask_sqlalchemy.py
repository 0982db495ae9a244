"""`run="after_commit"` in requests of an app with Flask-SQLAlchemy."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask import g
from flask import request
from flask.typing import ResponseReturnValue
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor import ctx
from flask_condor import resolve_events_manager
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import select
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column

from tests.conftest import MakeJob


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "user"
    name: Mapped[str] = mapped_column(primary_key=True)


@pytest.fixture
def db(app: Flask, tmp_path: Path) -> Iterator[SQLAlchemy]:
    """Flask-SQLAlchemy, put on the app after Condor."""
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{tmp_path}/test.db"
    db = SQLAlchemy(app, model_class=Base)
    with app.app_context():
        Base.metadata.create_all(db.engine)
    yield db
    with app.app_context():
        db.engine.dispose()


def errors_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


def test_a_job_commits_its_own_writes_and_what_it_fires_waits_for_that(
    app: Flask, db: SQLAlchemy, events_manager: EventsManager, ran: list[Any]
) -> None:
    def write(event: Event[Any], ctx: Context) -> None:
        db.session.add(User(name="of the job"))
        ctx.events.fire(Event("written"))
        ran.append("writing")
        db.session.commit()
        ran.append("write done")

    def count(event: Event[Any], ctx: Context) -> None:
        ran.append((event.depth, len(db.session.scalars(select(User)).all())))

    events_manager.register("signed-up", write, run="after_commit")
    events_manager.register("written", count, run="after_commit")

    @app.post("/")
    def sign_up() -> str:
        db.session.add(User(name="ada"))
        ctx.events.fire(Event("signed-up"))
        ran.append("committing")
        db.session.commit()
        ran.append("committed")
        return ",".join(db.session.scalars(select(User.name).order_by("name")))

    assert app.test_client().post("/").text == "ada,of the job"
    assert ran == ["committing", "writing", (2, 2), "write done", "committed"]


def test_a_view_that_rolls_back_drops_the_job_and_one_without_a_transaction_runs_it_at_once(
    app: Flask, db: SQLAlchemy, events_manager: EventsManager, make_job: MakeJob, ran: list[Any]
) -> None:
    events_manager.register("x", make_job("job"), run="after_commit")

    @app.post("/<way>")
    def view(way: str) -> str:
        if way == "rollback":
            db.session.add(User(name="ada"))
        ctx.events.fire(Event("x"))
        if way == "rollback":
            db.session.rollback()
        ran.append(way)
        return ""

    app.test_client().post("/rollback")
    app.test_client().post("/plain")

    assert ran == ["rollback", "job", "plain"]


def test_the_job_has_a_fresh_app_context_with_the_request_readable_and_leaves_that_of_the_view_alone(
    app: Flask, db: SQLAlchemy, events_manager: EventsManager
) -> None:
    seen: list[Any] = []
    torn_down: list[Any] = []
    app.teardown_request(lambda error: torn_down.append("request"))

    def read(event: Event[Any], ctx: Context) -> None:
        assert ctx.request is not None
        seen.extend([ctx.request.form["name"], request.path, g.get("word"), torn_down.copy()])

    events_manager.register("x", read, run="after_commit")

    @app.post("/signup")
    def signup() -> str:
        g.word = "of the view"
        db.session.add(User(name="ada"))
        ctx.events.fire(Event("x"))
        db.session.commit()
        seen.extend([g.word, torn_down.copy()])
        return str(request.files["file"].read(), "utf-8")

    response = app.test_client().post("/signup", data={"name": "ada", "file": (io.BytesIO(b"kept open"), "f")})

    assert response.text == "kept open"
    assert seen == ["ada", "/signup", None, [], "of the view", []]


def test_the_request_is_readable_also_when_the_commit_comes_after_its_end(
    app: Flask, db: SQLAlchemy, events_manager: EventsManager
) -> None:
    seen: list[Any] = []

    @app.teardown_appcontext
    def commit_at_the_end(error: BaseException | None) -> None:
        db.session.commit()

    events_manager.register("x", lambda event, ctx: seen.append((request.path, ctx.request)), run="after_commit")

    @app.get("/late")
    def view() -> str:
        db.session.add(User(name="ada"))
        ctx.events.fire(Event("x"))
        seen.append(request._get_current_object())  # type: ignore[attr-defined]  # LocalProxy's own method
        return ""

    app.test_client().get("/late")

    assert seen[1:] == [("/late", seen[0])]


def test_a_job_of_a_job_s_commit_does_not_make_the_running_job_forget_where_it_is(
    app: Flask, db: SQLAlchemy, events_manager: EventsManager
) -> None:
    depths: list[int] = []

    def write(event: Event[Any], ctx: Context) -> None:
        db.session.add(User(name="ada"))
        ctx.events.fire(Event("written"))
        db.session.commit()
        ctx.events.fire(Event("done"))

    events_manager.register("start", write)
    events_manager.register("written", lambda event, ctx: depths.append(event.depth), run="after_commit")
    events_manager.register("done", lambda event, ctx: depths.append(event.depth))

    @app.get("/")
    def view() -> str:
        ctx.events.fire(Event("start"))
        return ""

    app.test_client().get("/")

    assert depths == [2, 2]


def test_async_jobs_run_after_the_commit_too(
    app: Flask, db: SQLAlchemy, events_manager: EventsManager, ran: list[Any]
) -> None:
    async def job(event: Event[Any], ctx: Context) -> None:
        ran.append(request.path)

    events_manager.register("x", job, run="after_commit")

    @app.get("/async")
    def view() -> str:
        db.session.add(User(name="ada"))
        ctx.events.fire(Event("x"))
        assert ran == []
        db.session.commit()
        return ""

    app.test_client().get("/async")

    assert ran == ["/async"]


@pytest.mark.parametrize("statement", ["write", "read"])
def test_a_view_that_forgets_to_commit_is_told_of_with_its_line(
    app: Flask,
    db: SQLAlchemy,
    events_manager: EventsManager,
    statement: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    events_manager.register("x", lambda event, ctx: ctx.logger.error("it ran"), run="after_commit")

    @app.get("/")
    def view() -> str:
        if statement == "write":
            db.session.add(User(name="ada"))
        else:
            db.session.scalars(select(User)).all()
        ctx.events.fire(Event("x"))
        return ""

    app.test_client().get("/")

    line = view.__code__.co_firstlineno + 6
    assert errors_in(caplog) == [
        f"event x fired at {__file__}:{line} was never committed: call commit(). What was to follow from it is dropped."
    ]


def test_a_view_that_raises_drops_its_jobs_without_a_word_and_only_its_own(
    app: Flask,
    db: SQLAlchemy,
    events_manager: EventsManager,
    make_job: MakeJob,
    ran: list[Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    app.config["PROPAGATE_EXCEPTIONS"] = False
    events_manager.register("x", make_job("job"), run="after_commit")

    @app.get("/<way>")
    def view(way: str) -> ResponseReturnValue:
        db.session.add(User(name="ada"))
        ctx.events.fire(Event("x"))
        if way == "raises":
            raise LookupError("in the view")
        return ""

    app.test_client().get("/raises")
    assert [text.partition(" ")[0] for text in errors_in(caplog)] == ["Exception"]

    app.test_client().get("/forgets")
    assert "never committed" in errors_in(caplog)[1]
    assert ran == []


def test_an_app_with_queued_jobs_is_set_up_outside_an_app_context(tmp_path: Path) -> None:
    app = Flask("test", instance_path=str(tmp_path))
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{tmp_path}/test.db"
    SQLAlchemy(app, model_class=Base)

    Condor(app, register_events=lambda: resolve_events_manager().register("x", print_event, run="queued"))

    assert app.extensions["condor"].log.engine.url.database == f"{tmp_path}/test.db"


def print_event(event: Event[Any], ctx: Context) -> None:
    print(event)
