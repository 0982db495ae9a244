"""`run="after_commit"`: which transaction the jobs wait for, when they are dropped, and where they run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_condor import Condor
from flask_condor import CondorError
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor import ctx
from sqlalchemy import Engine
from sqlalchemy import create_engine
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy import select
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import Session
from sqlalchemy.orm import mapped_column
from sqlalchemy.orm import scoped_session
from sqlalchemy.orm import sessionmaker

from tests.conftest import MakeJob

Fire = Callable[[Session, str], None]
Job = Callable[[Event[Any], Context], Any]


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "user"
    name: Mapped[str] = mapped_column(primary_key=True)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = create_engine(f"sqlite:///{tmp_path}/test.db")

    # SQLAlchemy's recipe for SAVEPOINTs in SQLite: sqlite3 itself begins no transaction before one.
    @sqlalchemy_event.listens_for(engine, "connect")
    def leave_begin_to_us(connection: Any, record: Any) -> None:
        connection.isolation_level = None

    @sqlalchemy_event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN")

    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with Session(engine) as session:
        yield session


@pytest.fixture
def fire(events_manager: EventsManager, in_app: None, ran: list[Any]) -> Fire:
    """Fires an event whose one job writes down the payload."""
    events_manager.register("x", lambda event, ctx: ran.append(event.payload), run="after_commit")

    def fire(session: Session, payload: str) -> None:
        ctx.events.fire(Event("x", payload), session=session)

    return fire


def errors_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


# --- which end of which transaction


def test_the_job_runs_when_the_data_are_there_for_others_to_see(
    events_manager: EventsManager, in_app: None, engine: Engine, session: Session, ran: list[Any]
) -> None:
    def count(event: Event[Any], ctx: Context) -> None:
        with Session(engine) as own:
            ran.append(len(own.scalars(select(User)).all()))

    events_manager.register("x", count, run="after_commit")

    session.add(User(name="ada"))
    ctx.events.fire(Event("x"), session=session)
    assert ran == []
    session.commit()

    assert ran == [1]


def test_a_rollback_drops_the_job_for_good(
    fire: Fire, session: Session, ran: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    session.add(User(name="ada"))
    fire(session, "dropped")
    session.rollback()

    session.add(User(name="ada"))
    fire(session, "kept")
    session.commit()

    assert ran == ["kept"]
    assert not caplog.records


def test_the_release_of_a_savepoint_is_no_commit(fire: Fire, session: Session, ran: list[Any]) -> None:
    with session.begin():
        fire(session, "before")
        with session.begin_nested():
            fire(session, "inside")
        fire(session, "after")
        assert ran == []

    assert ran == ["before", "inside", "after"]


def test_a_savepoint_that_is_rolled_back_drops_its_own_only(
    fire: Fire, session: Session, ran: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    with session.begin():
        fire(session, "before")
        outer = session.begin_nested()
        fire(session, "inside")
        with session.begin_nested():
            fire(session, "further inside")
        outer.rollback()
        fire(session, "after")

    assert ran == ["before", "after"]
    assert not caplog.records


@pytest.mark.parametrize("open_at_the_end", [True, False])
def test_a_savepoint_in_a_root_that_is_rolled_back_is_dropped_with_it(
    fire: Fire, session: Session, ran: list[Any], open_at_the_end: bool, caplog: pytest.LogCaptureFixture
) -> None:
    session.begin()
    savepoint = session.begin_nested()
    fire(session, "inside")
    if not open_at_the_end:
        savepoint.commit()
    session.rollback()

    assert ran == []
    assert not caplog.records


def test_a_commit_with_an_open_savepoint_commits_both(fire: Fire, session: Session, ran: list[Any]) -> None:
    session.begin()
    fire(session, "outside")
    session.begin_nested()
    fire(session, "inside")
    session.commit()

    assert ran == ["outside", "inside"]


def test_a_savepoint_that_is_closed_counts_as_rolled_back(
    fire: Fire, session: Session, ran: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    with session.begin():
        savepoint = session.begin_nested()
        fire(session, "inside")
        savepoint.close()
        fire(session, "after")

    assert ran == ["after"]
    assert not caplog.records


@pytest.mark.parametrize("end", ["rollback", "close"])
def test_a_flush_that_fails_is_a_rollback_however_the_session_ends(
    fire: Fire, session: Session, ran: list[Any], end: str, caplog: pytest.LogCaptureFixture
) -> None:
    session.add_all([User(name="ada"), User(name="bob")])
    session.commit()

    session.execute(text("insert into user values ('eve')"))
    session.add(User(name="ada"))
    fire(session, "dropped")
    with pytest.raises(IntegrityError):
        session.commit()
    getattr(session, end)()

    assert ran == []
    assert not caplog.records


def test_a_flush_that_fails_in_a_savepoint_leaves_the_rest(fire: Fire, session: Session, ran: list[Any]) -> None:
    session.add(User(name="ada"))
    session.commit()
    session.expunge_all()

    with session.begin():
        fire(session, "before")
        with pytest.raises(IntegrityError), session.begin_nested():
            session.add(User(name="ada"))
            fire(session, "inside")
            session.flush()
        fire(session, "after")

    assert ran == ["before", "after"]


@pytest.mark.parametrize("fails", [True, False])
def test_the_end_of_a_begin_block_decides(fire: Fire, engine: Engine, ran: list[Any], fails: bool) -> None:
    try:
        with Session(engine) as session, session.begin():
            fire(session, "x")
            assert ran == []
            if fails:
                raise LookupError
    except LookupError:
        pass

    assert ran == ([] if fails else ["x"])


def test_an_event_fired_within_a_flush_waits_for_the_commit_around_it(
    fire: Fire, session: Session, ran: list[Any]
) -> None:
    sqlalchemy_event.listen(session, "after_flush", lambda session, context: fire(session, "in flush"))

    session.add(User(name="ada"))
    session.flush()
    assert ran == []
    session.commit()

    assert ran == ["in flush"]


def test_an_event_fired_in_the_app_s_own_after_commit_listener_belongs_to_that_commit(
    fire: Fire, session: Session, ran: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    sqlalchemy_event.listen(session, "after_commit", lambda session: fire(session, "in listener"))

    session.add(User(name="ada"))
    session.commit()

    assert ran == ["in listener"]
    assert not caplog.records


def test_the_app_s_own_listener_that_raises_hides_no_commit(
    fire: Fire, engine: Engine, ran: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    with Session(engine) as session:

        @sqlalchemy_event.listens_for(session, "after_commit")
        def fail(session: Session) -> None:
            raise LookupError

        session.add(User(name="ada"))
        fire(session, "committed")
        with pytest.raises(LookupError):
            session.commit()

    assert ran == ["committed"]
    assert not caplog.records


def test_two_sessions_at_once_are_told_apart(fire: Fire, engine: Engine, ran: list[Any]) -> None:
    with Session(engine) as one, Session(engine) as other:
        one.begin()
        other.begin()
        fire(one, "one")
        fire(other, "other")
        other.commit()
        assert ran == ["other"]
        one.rollback()

    assert ran == ["other"]


def test_without_an_open_transaction_the_job_runs_at_once(fire: Fire, session: Session, ran: list[Any]) -> None:
    fire(session, "first")
    assert ran == ["first"]

    session.execute(text("select 1"))
    session.commit()
    fire(session, "second")
    assert ran == ["first", "second"]


def test_without_any_session_the_job_runs_at_once(
    events_manager: EventsManager, make_job: MakeJob, ran: list[Any]
) -> None:
    events_manager.register("x", make_job("job"), run="after_commit")

    events_manager.fire(Event("x"))

    assert ran == ["job"]


# --- forgotten commits


@pytest.mark.parametrize("in_savepoint", [False, True])
def test_a_forgotten_commit_is_an_error_that_names_the_event_and_the_line(
    events_manager: EventsManager,
    make_job: MakeJob,
    engine: Engine,
    ran: list[Any],
    in_savepoint: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    events_manager.register("x", make_job("one"), make_job("other"), run="after_commit")
    event = Event("x")

    def forget(session: Session) -> None:
        events_manager.fire(event, session=session)

    with Session(engine) as session:
        session.add(User(name="ada"))
        if in_savepoint:
            session.begin_nested()
        forget(session)

    place = f"{__file__}:{forget.__code__.co_firstlineno + 1}"
    assert ran == []
    assert errors_in(caplog) == [
        f"event x fired at {place} was never committed: call commit(). What was to follow from it is dropped."
    ]
    told = vars(caplog.records[0])
    assert told["action"] == "event_never_committed"
    assert (told["event_name"], told["event_id"], told["fired_from"]) == ("x", event.id, place)


@pytest.mark.parametrize("way", ["ctx", "emit_async", "job", "blinker"])
def test_the_line_is_the_app_s_whichever_way_it_fires(
    engine: Engine, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fire_more(event: Event[Any], ctx: Context) -> None:
        ctx.events.fire(Event("x"), session=scoped)

    scoped = scoped_session(sessionmaker(engine))
    app = Flask("scoped")
    Condor(app, session=scoped)
    events: EventsManager = app.extensions["condor"]
    events.register("x", lambda event, ctx: None, run="after_commit")
    events.register("before", fire_more)
    scoped.begin()

    with app.app_context():
        if way == "ctx":
            ctx.events.fire(Event("x"))
        elif way == "emit_async":
            asyncio.run(emit_x())
        elif way == "job":
            ctx.events.emit("before")
        else:
            ctx.events.signal("x").send(Event("x"), ctx=ctx)
    scoped.remove()

    assert len(errors_in(caplog)) == 1
    assert f"event x fired at {__file__}:" in caplog.text


async def emit_x() -> None:
    await ctx.events.emit_async("x")


# --- which session


def test_what_is_no_session_is_refused_before_anything_runs(
    events_manager: EventsManager, make_job: MakeJob, engine: Engine, ran: list[Any]
) -> None:
    events_manager.register("x", make_job("now"))

    with pytest.raises(CondorError, match=r"fire\(session=...\) is .*: expected a Session of SQLAlchemy"):
        events_manager.fire(Event("x"), session=engine)  # type: ignore[arg-type]
    with pytest.raises(CondorError, match=r"Condor\(session=...\) is .*: expected a scoped_session of SQLAlchemy"):
        Condor(Flask("other"), session=sessionmaker(engine))  # type: ignore[arg-type]

    assert ran == []


@pytest.mark.parametrize("given", ["constructor", "init_app"])
def test_the_scoped_session_given_to_condor_is_looked_at_without_making_a_session(
    engine: Engine, make_job: MakeJob, ran: list[Any], given: str
) -> None:
    scoped = scoped_session(sessionmaker(engine))
    app = Flask("scoped")
    if given == "constructor":
        Condor(app, session=scoped)
    else:
        Condor().init_app(app, session=scoped)
    manager: EventsManager = app.extensions["condor"]
    manager.register("x", make_job("job"), run="after_commit")

    manager.fire(Event("x"))
    assert ran == ["job"]
    assert not scoped.registry.has()

    scoped.add(User(name="ada"))
    manager.fire(Event("x"))
    assert ran == ["job"]
    scoped.commit()
    assert ran == ["job", "job"]
    scoped.remove()


@pytest.mark.parametrize("in_transaction", [True, False])
def test_a_job_has_a_session_of_its_own_where_sessions_are_kept_per_thread(
    engine: Engine, ran: list[Any], in_transaction: bool
) -> None:
    scoped = scoped_session(sessionmaker(engine))
    app = Flask("scoped")
    app.teardown_appcontext(lambda error: scoped.remove())
    Condor(app, session=scoped)
    manager: EventsManager = app.extensions["condor"]

    def job(event: Event[Any], ctx: Context) -> None:
        ran.append(scoped() is callers)
        scoped.add(User(name="of the job"))
        scoped.commit()

    manager.register("x", job, run="after_commit")

    with app.app_context():
        callers = scoped()
        ada = User(name="ada")
        if in_transaction:
            scoped.add(ada)
        ctx.events.fire(Event("x"))
        scoped.add(ada)
        scoped.commit()

        assert ran == [False]
        assert scoped() is callers
        assert scoped.scalars(select(User.name).order_by("name")).all() == ["ada", "of the job"]
        assert ada in scoped


def test_a_scoped_session_may_be_given_to_fire(
    events_manager: EventsManager, make_job: MakeJob, engine: Engine, ran: list[Any]
) -> None:
    scoped = scoped_session(sessionmaker(engine))
    events_manager.register("x", make_job("job"), run="after_commit")
    scoped.add(User(name="ada"))

    events_manager.fire(Event("x"), session=scoped)
    assert ran == []
    scoped.commit()

    assert ran == ["job"]
    scoped.remove()


def test_a_session_given_to_fire_goes_before_the_usual_one(
    engine: Engine, session: Session, make_job: MakeJob, ran: list[Any]
) -> None:
    scoped = scoped_session(sessionmaker(engine))
    app = Flask("scoped")
    Condor(app, session=scoped)
    manager: EventsManager = app.extensions["condor"]
    manager.register("x", make_job("now"))
    manager.register("x", make_job("job"), run="after_commit")
    scoped.begin()
    session.begin()

    with app.test_request_context():
        ctx.events.fire(Event("x"), session=session)
        ctx.events.fire(Event("x"), session=session)
        ctx.events.emit("x", session=session)
    scoped.commit()
    assert ran == ["now"] * 3
    session.commit()

    assert ran == ["now"] * 3 + ["job"] * 3
    scoped.remove()


def test_the_async_twins_wait_for_the_session_too(
    events_manager: EventsManager, in_app: None, make_job: MakeJob, session: Session, ran: list[Any]
) -> None:
    async def now(event: Event[Any], ctx: Context) -> None:
        ran.append("now")

    async def later(event: Event[Any], ctx: Context) -> None:
        ran.append("later")

    async def fire() -> None:
        session.begin()
        await ctx.events.fire_async(Event("x"), session=session)
        await ctx.events.emit_async("x", session=session)

    events_manager.register("x", now)
    events_manager.register("x", later, run="after_commit")

    asyncio.run(fire())
    assert ran == ["now", "now"]
    session.commit()

    assert ran == ["now", "now", "later", "later"]


# --- what runs


def test_jobs_run_in_the_order_fired_and_then_registered(
    events_manager: EventsManager, in_app: None, make_job: MakeJob, session: Session, ran: list[Any]
) -> None:
    events_manager.register("x", make_job("x1"), run="after_commit")
    events_manager.register("x", make_job("now"))
    events_manager.register("x", make_job("x2"), run="after_commit")
    events_manager.register("y", make_job("y1"), run="after_commit")

    session.begin()
    for name in ("x", "y", "x"):
        ctx.events.fire(Event(name), session=session)
    session.commit()

    assert ran == ["now", "now", "x1", "x2", "y1", "x1", "x2"]


def test_the_event_is_the_same_with_the_payload_as_it_was_when_fired(
    events_manager: EventsManager, in_app: None, session: Session
) -> None:
    seen: list[tuple[Any, ...]] = []

    def note(event: Event[Any], ctx: Context) -> None:
        seen.append((event.id, event.fired_at, event.cause, event.depth, event.source, event.payload["name"]))

    payload = {"name": "ada"}
    events_manager.register("a", lambda event, ctx: ctx.events.fire(Event("b", payload), session=session))
    events_manager.register("b", note)
    events_manager.register("b", note, run="after_commit")

    session.begin()
    ctx.events.fire(Event("a"))
    payload["name"] = "changed"
    session.commit()

    assert seen[0] == seen[1]
    assert seen[0][3:] == (2, "job", "ada")


def test_a_job_that_fails_is_logged_and_neither_the_commit_nor_the_session_is_harmed(
    events_manager: EventsManager,
    failing_job: Job,
    make_job: MakeJob,
    session: Session,
    ran: list[Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    events_manager.register("x", failing_job, make_job("next"), run="after_commit")

    session.add(User(name="ada"))
    events_manager.fire(Event("x"), session=session)
    session.commit()
    events_manager.fire(Event("x"), session=session)

    assert ran == ["next", "next"]
    assert errors_in(caplog) == ["job failing of event x failed: ValueError: no such address; it is not run again"] * 2
    assert caplog.records[0].exc_info
    session.add(User(name="bob"))
    session.commit()
    assert len(session.scalars(select(User)).all()) == 2


@pytest.mark.parametrize("exit", [SystemExit, KeyboardInterrupt])
def test_exit_and_interrupt_pass_through_the_commit(
    events_manager: EventsManager, in_app: None, session: Session, exit: type[BaseException]
) -> None:
    def leave(event: Event[Any], ctx: Context) -> None:
        raise exit

    events_manager.register("x", leave, run="after_commit")

    session.add(User(name="ada"))
    ctx.events.fire(Event("x"), session=session)
    with pytest.raises(exit):
        session.commit()

    session.add(User(name="bob"))
    session.commit()
    assert len(session.scalars(select(User)).all()) == 2


def test_a_teardown_function_that_fails_after_a_job_harms_neither_the_commit_nor_the_next_job(
    app: Flask,
    events_manager: EventsManager,
    make_job: MakeJob,
    session: Session,
    ran: list[Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    @app.teardown_appcontext
    def fail(error: BaseException | None) -> None:
        if ran == ["one"]:
            raise LookupError

    events_manager.register("x", make_job("one"), make_job("other"), run="after_commit")

    session.add(User(name="ada"))
    events_manager.fire(Event("x"), session=session)
    session.commit()

    assert ran == ["one", "other"]
    assert errors_in(caplog) == [
        "the app context of job one could not be closed; the job has run: see the app's teardown functions"
    ]


def test_events_that_follow_from_their_own_commit_for_ever_are_stopped(
    events_manager: EventsManager, in_app: None, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    depths: list[int] = []

    def again(event: Event[Any], ctx: Context) -> None:
        depths.append(event.depth)
        with Session(engine) as own, own.begin():
            ctx.events.fire(Event("x"), session=own)

    events_manager.register("x", again, run="after_commit")

    ctx.events.fire(Event("x"))

    assert depths == list(range(1, 33))
    assert "EventLoop: event chain is longer than 32" in caplog.text


def test_two_apps_share_the_listeners_and_each_job_runs_once(
    engine: Engine, session: Session, make_job: MakeJob, ran: list[Any]
) -> None:
    session.begin()
    for name in ("one", "other"):
        app = Flask(name)
        Condor(app)
        manager: EventsManager = app.extensions["condor"]
        manager.register("x", make_job(f"1 of {name}"), run="after_commit")
        manager.register("x", make_job(f"2 of {name}"), run="after_commit")
        manager.fire(Event("x"), session=session)
    session.commit()

    assert ran == ["1 of one", "2 of one", "1 of other", "2 of other"]
