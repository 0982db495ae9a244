"""`run="queued"`, `delay` and `at`: what a fire writes to the event log, and what a worker's run of a job sees."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC
from datetime import datetime
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from flask import Flask
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor import JobsFailed
from flask_condor import ctx
from flask_condor import family
from flask_condor.context import Delivery
from flask_condor.due import NOW
from flask_condor.errors import DelayInvalid
from flask_condor.errors import EventIdTaken
from flask_condor.errors import EventLoop
from flask_condor.errors import EventNotRegistered
from flask_condor.errors import JobNotFindable
from flask_condor.errors import PayloadNotSerializable
from flask_condor.event import Cause
from flask_condor.event import Family
from flask_condor.event import Origin
from flask_condor.models import events
from flask_condor.rows import event_from
from flask_condor.writing import write_event
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import create_engine
from sqlalchemy import select
from sqlalchemy import text
from sqlalchemy.orm import Session
from sqlalchemy.orm import scoped_session
from sqlalchemy.orm import sessionmaker

from tests.conftest import MakeJob
from tests.databases import accepted
from tests.databases import queued

DUE_AT = datetime(2100, 1, 31, 9, tzinfo=UTC)


def one(event: Event[Any], ctx: Context) -> None:
    raise AssertionError("only a worker runs it")


def other(event: Event[Any], ctx: Context) -> None:
    raise AssertionError("only a worker runs it")


def jobs_of(rows: list[Any]) -> list[str]:
    return [row.job.partition(":")[2] for row in rows]


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    """An app that keeps only what is queued, so that the log holds nothing else."""
    app = Flask("test", instance_path=str(tmp_path))
    app.config["CONDOR_LOG"] = "queued"
    app.testing = True
    Condor(app)
    return app


@pytest.fixture
def on_both(database_url: str) -> Iterator[EventsManager]:
    """The events manager of an app with its log in SQLite, then in PostgreSQL."""
    app = Flask("test")
    app.config.update(CONDOR_DATABASE_URL=database_url, CONDOR_LOG="queued")
    Condor(app)
    manager: EventsManager = app.extensions["condor"]
    yield manager
    manager.log.engine.dispose()


@pytest.fixture
def nothing_written(app: Flask) -> Callable[[], bool]:
    return lambda: not Path(app.instance_path, "condor.db").exists()


# --- what is written


def test_a_fire_writes_the_event_and_a_delivery_per_job_in_the_order_registered(on_both: EventsManager) -> None:
    on_both.register("x", one, run="queued", priority=5)
    on_both.register("x", other, run="queued", queue="slow")
    before = time.time()

    event = on_both.fire(Event("x", {"name": "ada"}))

    with on_both.log.read() as connection:
        [row] = connection.execute(select(events))
    rows = queued(on_both)
    assert (row.id, row.name, row.payload, row.root_id, row.path) == (event.id, "x", '{"name":"ada"}', event.id, "[]")
    assert (row.is_orphan, row.is_replayable, row.source, row.cause_id) == (False, True, "app", None)
    assert jobs_of(rows) == ["one", "other"]
    assert [(row.event_id, row.run, row.state, row.attempt, row.losses) for row in rows] == [
        (event.id, "queued", "pending", 0, 0)
    ] * 2
    assert [(row.priority, row.queue) for row in rows] == [(5, "default"), (0, "slow")]
    assert all(before - 5 < row.due_at < time.time() + 5 for row in rows)


def test_what_is_read_back_is_the_event(on_both: EventsManager) -> None:
    on_both.register("x", one, run="queued")
    fired = on_both.fire(Event("x", {"names": ["ada", None], "ö": 1.5}))

    with on_both.log.read() as connection:
        read = event_from(connection.execute(select(events)).one())

    assert (read.id, read.name, read.payload) == (fired.id, fired.name, fired.payload)
    assert (read.fired_at, read.source, read.cause, read.depth) == (fired.fired_at, "app", None, 1)


def test_events_are_in_the_log_in_the_order_fired(events_manager: EventsManager) -> None:
    for name in "abc":
        events_manager.register(name, one, run="queued")

    for name in "abcab":
        events_manager.fire(Event(name))

    assert accepted(events_manager) == list("abcab")


def test_two_queued_jobs_of_one_name_are_refused_when_registered(events_manager: EventsManager) -> None:
    make = [lambda event, ctx: None, lambda event, ctx: None]

    with pytest.raises(JobNotFindable, match="two jobs of event 'x' are both called tests.test_queued:"):
        events_manager.register("x", *make, run="queued")


def test_a_queued_job_whose_path_is_too_long_to_be_stored_is_refused_when_registered(
    events_manager: EventsManager,
) -> None:
    def job(event: Event[Any], ctx: Context) -> None: ...

    job.__qualname__ = "x" * 300

    with pytest.raises(JobNotFindable, match="a job of event 'x' is called tests.test_queued:xxx.*318 characters long"):
        events_manager.register("x", job, run="queued")
    events_manager.register("x", job)
    with pytest.raises(JobNotFindable):
        events_manager.fire(Event("x"), delay=1)


def test_two_jobs_of_one_name_are_refused_when_a_delay_would_queue_them(
    events_manager: EventsManager, nothing_written: Callable[[], bool]
) -> None:
    events_manager.register("x", *[lambda event, ctx: None for _ in range(2)])
    events_manager.fire(Event("x"))

    with pytest.raises(JobNotFindable):
        events_manager.fire(Event("x"), delay=1)
    assert nothing_written()


def test_a_job_that_has_two_run_words_is_queued_once_by_a_delay(events_manager: EventsManager) -> None:
    def job(event: Event[Any], ctx: Context) -> None: ...

    events_manager.register("x", job)
    events_manager.register("x", job, run="queued", priority=3)

    events_manager.fire(Event("x"), delay=1)

    assert [(row.run, row.priority) for row in queued(events_manager)] == [("queued", 3)]


# --- delay and at


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [
        (0, 0),
        (90, 90),
        (0.5, 0.5),
        (timedelta(minutes=2), 120),
        ({"hours": 1, "seconds": 1}, 3_601),
        ({"days": 1, "minutes": 1.5}, 86_490),
    ],
)
def test_a_delay_is_added_to_the_time_of_the_database(on_both: EventsManager, delay: Any, seconds: float) -> None:
    on_both.register("x", one)

    before = time.time()
    on_both.fire(Event("x"), delay=delay)
    after = time.time()

    [row] = queued(on_both)
    assert before + seconds <= row.due_at <= after + seconds


def test_at_is_the_moment_itself_whatever_its_time_zone(on_both: EventsManager) -> None:
    on_both.register("x", one, run="queued")

    on_both.fire(Event("x"), at=DUE_AT)
    on_both.emit("x", at=datetime.fromisoformat("2100-01-31T10:00+01:00"))
    on_both.fire(Event("x"), at=datetime(2020, 1, 1, tzinfo=UTC))

    assert [row.due_at for row in queued(on_both)] == [DUE_AT.timestamp()] * 2 + [1_577_836_800]


def test_a_delay_queues_every_job_of_the_event_and_calls_no_plain_receiver(
    events_manager: EventsManager, make_job: MakeJob, ran: list[Any]
) -> None:
    events_manager.register("x", make_job("now"))
    events_manager.register("x", make_job("response"), run="after_response")
    events_manager.register("x", make_job("commit"), run="after_commit")
    events_manager.register("x", one, run="queued")
    plain = make_job("plain")
    events_manager.signal("x").connect(plain)

    events_manager.fire(Event("x"), delay={"hours": 24})
    assert ran == []
    assert jobs_of(queued(events_manager)) == ["now", "response", "commit", "one"]

    events_manager.fire(Event("x"))
    assert ran == ["now", "response", "commit", "plain"]
    assert len(queued(events_manager)) == 5


@pytest.mark.parametrize(
    ("when", "told"),
    [
        ({"delay": -1}, "delay in seconds is -1"),
        ({"delay": {"hours": -1}}, "delay hours is -1"),
        ({"delay": {"weeks": 1}}, "unknown unit 'weeks'"),
        ({"delay": {}}, "names no unit"),
        ({"delay": "soon"}, "'soon'"),
        ({"delay": True}, "True"),
        ({"delay": float("nan")}, "nan"),
        ({"at": datetime(2030, 1, 1)}, "no time zone"),
        ({"at": 5}, "no datetime"),
        ({"at": DUE_AT, "delay": 1}, "both given"),
    ],
)
def test_what_is_no_time_to_come_is_a_value_error_and_nothing_happens(
    events_manager: EventsManager,
    make_job: MakeJob,
    ran: list[Any],
    when: dict[str, Any],
    told: str,
    nothing_written: Callable[[], bool],
) -> None:
    events_manager.register("x", make_job("now"))

    with pytest.raises(DelayInvalid, match=told) as raised:
        events_manager.fire(Event("x"), **when)
    assert isinstance(raised.value, ValueError)
    assert ran == []
    assert nothing_written()


def test_a_delayed_name_that_nobody_listens_to_is_refused_by_fire_and_kept_as_an_orphan_by_emit(
    events_manager: EventsManager,
) -> None:
    with pytest.raises(EventNotRegistered):
        events_manager.fire(Event("x"), delay=1)
    event = events_manager.emit("x", {"a": 1}, delay=1)

    with events_manager.log.read() as connection:
        assert connection.execute(select(events.c.id, events.c.is_orphan)).all() == [(event.id, True)]
    assert queued(events_manager) == []


# --- one id, one event


def test_the_same_id_twice_is_one_event(on_both: EventsManager) -> None:
    on_both.register("x", one, other, run="queued")

    on_both.emit("x", 1, id="order-7")
    on_both.emit("x", 2, id="order-7")
    on_both.emit("x", 3, id="order-7", delay=5)

    with on_both.log.read() as connection:
        assert connection.scalars(select(events.c.payload)).all() == ["1"]
    assert jobs_of(queued(on_both)) == ["one", "other"]


def fire_the_same(url: str, start: Any) -> None:
    app = Flask("test")
    app.config["CONDOR_DATABASE_URL"] = url
    Condor(app)
    manager: EventsManager = app.extensions["condor"]
    manager.register("x", one, other, run="queued")
    start.wait(30)
    for number in range(20):
        manager.emit("x", id=f"order-{number}")


def test_the_same_id_from_two_processes_at_once_is_one_event(on_both: EventsManager) -> None:
    url = on_both.log.engine.url.render_as_string(hide_password=False)
    fresh = get_context("spawn")
    start = fresh.Barrier(2)
    firing = [fresh.Process(target=fire_the_same, args=(url, start)) for _ in range(2)]

    for process in firing:
        process.start()
    for process in firing:
        process.join(60)

    assert [process.exitcode for process in firing] == [0, 0]
    assert sorted(accepted(on_both)) == ["x"] * 20
    assert jobs_of(queued(on_both)) == ["one", "other"] * 20


# --- with other jobs of the event


def test_the_other_jobs_run_at_once_and_one_that_fails_does_not_undo_what_was_accepted(
    events_manager: EventsManager, make_job: MakeJob, failing_job: Any, ran: list[Any]
) -> None:
    events_manager.register("x", make_job("first"))
    events_manager.register("x", one, run="queued")
    events_manager.register("x", failing_job, make_job("last"))

    with pytest.raises(JobsFailed) as raised:
        events_manager.fire(Event("x"))

    assert [job for job, _ in raised.value.failures] == ["failing"]
    assert ran == ["first", "last"]
    assert jobs_of(queued(events_manager)) == ["one"]


class Unserializable:
    def __repr__(self) -> str:
        return "<one>"


@pytest.mark.parametrize(
    ("payload", "path"),
    [
        ({"user": {"at": [1, Unserializable()]}}, "payload['user']['at'][1]"),
        (Unserializable(), "payload"),
        ({1: 2}, "payload"),
        ([float("inf")], "payload[0]"),
        ({"a": (1, 2)}, "payload['a']"),
    ],
)
def test_a_payload_that_json_would_change_is_refused_before_anything_happens(
    events_manager: EventsManager,
    make_job: MakeJob,
    ran: list[Any],
    nothing_written: Callable[[], bool],
    payload: Any,
    path: str,
) -> None:
    events_manager.register("x", make_job("now"))
    events_manager.register("x", one, run="queued")

    for delay in (None, 5):
        with pytest.raises(PayloadNotSerializable) as raised:
            events_manager.fire(Event("x", payload), delay=delay)

        assert raised.value.path == path
        assert str(raised.value).startswith((f"{path} is ", f"{path} has the key "))
    assert ran == []
    assert nothing_written()


@pytest.mark.parametrize("way", ["disabled", "muted"])
def test_while_events_are_disabled_or_muted_nothing_is_written(
    events_manager: EventsManager, nothing_written: Callable[[], bool], way: str
) -> None:
    events_manager.register("x", one, run="queued")
    silence = events_manager.disable() if way == "disabled" else events_manager.signal("x").muted()

    with silence:
        events_manager.fire(Event("x"))
        events_manager.fire(Event("x"), delay=1)
        events_manager.emit("x", at=DUE_AT)
        if way == "disabled":
            events_manager.emit("unknown", delay=1)
    assert nothing_written()

    events_manager.fire(Event("x"))
    assert len(queued(events_manager)) == 1


@pytest.mark.parametrize("in_context", [True, False])
def test_blinker_s_own_send_queues_the_jobs_too(app: Flask, events_manager: EventsManager, in_context: bool) -> None:
    events_manager.register("x", one, other, run="queued")
    event = Event("x", {"a": 1})

    if in_context:
        with app.app_context():
            ctx.events.signal("x").send(event, ctx=ctx)
    else:
        events_manager.signal("x").send(event, ctx=None)

    assert accepted(events_manager) == ["x"]
    assert jobs_of(queued(events_manager)) == ["one", "other"]


def test_the_async_twins_queue_too(events_manager: EventsManager, in_app: None, ran: list[Any]) -> None:
    async def now(event: Event[Any], ctx: Context) -> None:
        ran.append(event.payload)

    async def fire() -> None:
        await ctx.events.fire_async(Event("x", 1))
        await ctx.events.emit_async("x", 2, delay=5)
        await asyncio.gather(*[ctx.events.fire_async(Event("x", 3)) for _ in range(5)])

    events_manager.register("x", now)
    events_manager.register("x", one, run="queued")

    asyncio.run(fire())

    assert sorted(ran) == [1] + [3] * 5
    assert sorted(jobs_of(queued(events_manager))) == ["one"] * 7 + [f"{now.__qualname__}"]


def test_threads_that_fire_at_once_lose_nothing(on_both: EventsManager) -> None:
    on_both.register("x", one, run="queued")

    firing = [Thread(target=lambda: [on_both.fire(Event("x")) for _ in range(25)]) for _ in range(4)]
    for thread in firing:
        thread.start()
    for thread in firing:
        thread.join()

    assert len(queued(on_both)) == 100


# --- what follows from an event


def test_an_event_that_a_job_fires_tells_its_cause_its_root_and_its_path(
    events_manager: EventsManager, in_app: None
) -> None:
    def fire_b(event: Event[Any], ctx: Context) -> None:
        ctx.events.fire(Event("b"))

    def fire_c(event: Event[Any], ctx: Context) -> None:
        ctx.events.fire(Event("c"))

    events_manager.register("a", fire_b)
    events_manager.register("b", fire_c)
    events_manager.register("c", one, run="queued")
    root = Event("a")

    ctx.events.fire(root)

    with events_manager.log.read() as connection:
        row = connection.execute(select(events)).one()
    assert (row.name, row.source, row.root_id, row.path) == ("c", "job", root.id, '["a", "b"]')
    assert (row.cause_name, row.cause_job) == ("b", "fire_c")
    read = event_from(row)
    assert (read.depth, read.cause) == (3, read._origin and read._origin.cause)


def run_in_worker(manager: EventsManager, name: str = "x", delivery_id: int = 1) -> Any:
    """Run the newest delivery as a worker does, by what is in the log alone."""
    with manager.log.read() as connection:
        row = connection.execute(select(events).where(events.c.name == name).order_by(events.c.fired_at.desc())).first()
    path = queued(manager)[-1].job
    job = manager.registry.job_named(name, path)
    assert row is not None and job is not None
    return manager.run_delivery(event_from(row), job, Delivery(delivery_id, 1))


@pytest.mark.parametrize("limit", [1, 5])
def test_the_limit_of_descendants_holds_across_runs_exactly(
    on_both: EventsManager, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    def multiply(event: Event[Any], ctx: Context) -> None:
        ctx.events.fire(Event("y"))

    monkeypatch.setattr(family, "MAX_DESCENDANTS", limit)
    monkeypatch.setattr(family, "NEARLY", 0.0)
    on_both.register("x", multiply, run="queued")
    on_both.register("y", one, run="queued")
    on_both.fire(Event("x"))
    with on_both.log.read() as connection:
        root = event_from(connection.execute(select(events)).one())
    job = on_both.registry.jobs_of("x")[0]

    for number in range(limit):
        on_both.run_delivery(event_from_log(on_both, root.id), job, Delivery(number, 1))
    for _ in range(2):
        with pytest.raises(EventLoop, match=f"one event 'x' led to more than {limit} others: x -> y"):
            on_both.run_delivery(event_from_log(on_both, root.id), job, Delivery(limit, 1))

    assert accepted(on_both) == ["x"] + ["y"] * limit
    on_both.fire(Event("x"))
    assert accepted(on_both).count("x") == 2


def event_from_log(manager: EventsManager, event_id: str) -> Event[Any]:
    with manager.log.read() as connection:
        return event_from(connection.execute(select(events).where(events.c.id == event_id)).one())


def test_the_limit_of_descendants_holds_for_two_that_fire_at_once(
    on_both: EventsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    def multiply(event: Event[Any], ctx: Context) -> None:
        for _ in range(10):
            ctx.events.fire(Event("y"))

    monkeypatch.setattr(family, "MAX_DESCENDANTS", 15)
    monkeypatch.setattr(family, "NEARLY", 0.0)
    on_both.register("x", multiply, run="queued")
    on_both.register("y", one, run="queued")
    root = on_both.fire(Event("x"))
    job = on_both.registry.jobs_of("x")[0]
    ends: list[str] = []

    def run(number: int) -> None:
        try:
            on_both.run_delivery(event_from_log(on_both, root.id), job, Delivery(number, 1))
            ends.append("done")
        except EventLoop:
            ends.append("stopped")

    threads = [Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert accepted(on_both).count("y") == 15
    assert ends.count("stopped") >= 2


def test_a_descendant_waits_for_one_that_is_not_committed_yet_before_it_counts(
    on_both: EventsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    def multiply(event: Event[Any], ctx: Context) -> None:
        ctx.events.fire(Event("y"))

    monkeypatch.setattr(family, "MAX_DESCENDANTS", 1)
    monkeypatch.setattr(family, "NEARLY", 0.0)
    on_both.register("x", multiply, run="queued")
    on_both.register("y", one, run="queued")
    root = event_from_log(on_both, on_both.fire(Event("x")).id)
    first = Event("y", None, "", root._made_at, Origin("job", Cause(root.id, "x", "multiply"), ("x",), Family(root.id)))
    ends: list[str] = []

    def run() -> None:
        try:
            on_both.run_delivery(root, on_both.registry.jobs_of("x")[0], Delivery(1, 1))
            ends.append("done")
        except EventLoop:
            ends.append("stopped")

    second = Thread(target=run)
    with on_both.log.begin() as connection:
        write_event(connection, first, "null", [], NOW)
        second.start()
        second.join(1)
    second.join(30)

    assert ends == ["stopped"]
    assert accepted(on_both) == ["x", "y"]


def test_a_chain_through_the_queue_is_stopped_at_its_depth(app: Flask, events_manager: EventsManager) -> None:
    def again(event: Event[Any], ctx: Context) -> None:
        ctx.events.fire(Event("x"))

    events_manager.register("x", again, run="queued")
    events_manager.fire(Event("x"))

    for _ in range(31):
        run_in_worker(events_manager)
    with pytest.raises(EventLoop, match="longer than 32"):
        run_in_worker(events_manager)

    assert len(queued(events_manager)) == 32


# --- a worker's run


def test_a_run_knows_its_delivery_has_no_request_and_gives_back_what_the_job_returns(
    events_manager: EventsManager, in_app: None
) -> None:
    seen: list[Any] = []

    def job(event: Event[Any], ctx: Context) -> dict[str, bool]:
        seen.append((event.payload, ctx.delivery, ctx.request, ctx.app.name))
        return {"success": True}

    events_manager.register("x", job, run="queued")
    events_manager.fire(Event("x", {"a": 1}))

    assert run_in_worker(events_manager, delivery_id=7) == {"success": True}
    assert seen == [({"a": 1}, Delivery(7, 1), None, "test")]
    assert ctx.delivery is None


def test_what_a_run_fires_is_caused_by_it(events_manager: EventsManager) -> None:
    seen: list[Any] = []

    def note(event: Event[Any], context: Context) -> None:
        seen.append((event.cause, event.depth, event.source, context.delivery, ctx.delivery))

    def job(event: Event[Any], ctx: Context) -> None:
        ctx.events.fire(Event("y"))

    events_manager.register("x", job, run="queued")
    events_manager.register("y", lambda event, ctx: note(event, ctx))
    fired = events_manager.fire(Event("x"))
    run_in_worker(events_manager)

    [(cause, depth, source, *delivery)] = seen
    assert (cause.event_id, cause.event_name, cause.job) == (fired.id, "x", "job")
    assert (depth, source) == (2, "job")
    assert delivery == [Delivery(1, 1)] * 2


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
def test_what_a_job_raises_leaves_the_run_as_it_is(events_manager: EventsManager, error: type[BaseException]) -> None:
    def job(event: Event[Any], ctx: Context) -> None:
        raise error("boom")

    events_manager.register("x", job, run="queued")
    events_manager.fire(Event("x"))

    with pytest.raises(error, match="boom"):
        run_in_worker(events_manager)


def test_an_async_job_is_run_to_its_end(events_manager: EventsManager) -> None:
    async def job(event: Event[Any], ctx: Context) -> str:
        await asyncio.sleep(0)
        await ctx.events.fire_async(Event("y"))
        return "done"

    causes: list[Any] = []
    events_manager.register("x", job, run="queued")
    events_manager.register("y", lambda event, ctx: causes.append(event.cause))
    fired = events_manager.fire(Event("x"))

    assert run_in_worker(events_manager) == "done"
    assert causes[0].event_id == fired.id


def test_each_run_has_a_flask_sqlalchemy_session_of_its_own(app: Flask, tmp_path: Path) -> None:
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{tmp_path}/app.db"
    db = SQLAlchemy(app)
    manager: EventsManager = app.extensions["condor"]
    sessions: list[Any] = []

    def job(event: Event[Any], ctx: Context) -> None:
        assert not db.session().in_transaction()
        db.session.execute(text("select 1"))
        sessions.append(db.session())

    manager.register("x", job, run="queued")
    with app.app_context():
        sessions.append(db.session())
        manager.fire(Event("x"))
        run_in_worker(manager)
        run_in_worker(manager)
        assert db.session() is sessions[0]
        db.engine.dispose()

    assert len(set(sessions)) == 3
    assert not any(session.in_transaction() for session in sessions)
    manager.log.engine.dispose()


def test_a_run_leaves_no_transaction_open_where_sessions_are_kept_per_thread(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "test.db")) as outside:
        app = Flask("scoped")
        app.config["CONDOR_DATABASE_URL"] = url = f"sqlite:///{tmp_path}/test.db"
        engine = create_engine(url)
        scoped = scoped_session(sessionmaker(engine))
        Condor(app, session=scoped)
        manager: EventsManager = app.extensions["condor"]

        def forget(event: Event[Any], ctx: Context) -> None:
            scoped.execute(text("create table t (x)"))
            scoped.execute(text("insert into t values (1)"))

        manager.register("x", forget, run="queued")
        manager.fire(Event("x"))
        callers = scoped()
        run_in_worker(manager)

        assert scoped() is callers
        outside.execute("BEGIN IMMEDIATE")
        outside.rollback()
        scoped.remove()
        engine.dispose()
        manager.log.engine.dispose()


def test_a_queued_fire_in_a_request_says_so(app: Flask, events_manager: EventsManager) -> None:
    events_manager.register("x", one, run="queued")

    @app.post("/")
    def view() -> str:
        return ctx.events.fire(Event("x")).id

    event_id = app.test_client().post("/").text

    assert event_id
    read = event_from_log(events_manager, event_id)
    assert (read.source, read.depth) == ("handler", 1)


def test_nothing_is_logged_when_all_goes_well(events_manager: EventsManager, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    events_manager.register("x", one, run="queued")

    with Session(events_manager.log.engine) as session:
        events_manager.fire(Event("x"), session=session)
        session.commit()

    assert caplog.messages == []
    assert accepted(events_manager) == ["x"]


def test_the_id_of_another_event_is_refused_with_its_name(on_both: EventsManager) -> None:
    for name in ("x", "y"):
        on_both.register(name, one, run="queued")
    on_both.emit("x", id="order-1")

    with pytest.raises(EventIdTaken, match="id 'order-1' is that of an event 'x' in the event log, so 'y'"):
        on_both.emit("y", id="order-1")
