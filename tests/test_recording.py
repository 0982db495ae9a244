"""Recording: which runs are written to the log, with what, and what becomes of them when something goes wrong."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
import typing as t
from collections import Counter
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import flask_condor.recorder
import pytest
from flask import Flask
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor import JobsFailed
from flask_condor import ctx
from flask_condor.database import explained
from flask_condor.database import open_database
from flask_condor.errors import ConfigInvalid
from flask_condor.errors import LogUnavailable
from flask_condor.models import deliveries
from flask_condor.models import events
from flask_condor.models import metadata
from flask_condor.models import rates
from flask_condor.plan import Plan
from flask_condor.rates import totals
from flask_condor.recorder import Recorder
from flask_condor.retry import Retry
from flask_condor.schema import upgrade
from flask_condor.storable import LONGEST_ERROR
from flask_condor.worker import Worker
from sqlalchemy import make_url
from sqlalchemy import select
from sqlalchemy.engine import Connection
from sqlalchemy.engine import Row
from sqlalchemy.exc import NotSupportedError
from sqlalchemy.exc import ProgrammingError

from tests.databases import new_database
from tests.servers import ROOT
from tests.servers import gunicorn

Rows = list[Row[t.Any]]


def make_manager(tmp_path: Path, **settings: object) -> EventsManager:
    app = Flask("recorded", instance_path=str(tmp_path))
    app.testing = True
    app.config.from_mapping(settings)
    Condor(app)
    manager: EventsManager = app.extensions["condor"]
    return manager


@pytest.fixture
def manager(tmp_path: Path, database_url: str) -> Iterator[EventsManager]:
    manager = make_manager(tmp_path, CONDOR_DATABASE_URL=database_url)
    yield manager
    manager.queueing.recorder.flush()
    manager.log.engine.dispose()


@pytest.fixture
def on_sqlite(tmp_path: Path) -> EventsManager:
    return make_manager(tmp_path, CONDOR_DATABASE_URL=f"sqlite:///{tmp_path / 'condor.db'}")


def recorded(manager: EventsManager) -> tuple[Rows, Rows]:
    """Return the rows of the events and of the deliveries, in the order they were written or fired."""
    assert manager.queueing.recorder.flush(30)
    with manager.log.read() as connection:
        return (
            list(connection.execute(select(events).order_by(events.c.fired_at))),
            list(connection.execute(select(deliveries).order_by(deliveries.c.id))),
        )


def writes_all(manager: EventsManager) -> bool:
    """Write what waits, however often a busy machine keeps the lock of the database from this process for too long."""
    return any(manager.queueing.recorder.flush(20) for _ in range(5))


def wait_until(holds: Callable[[], object], seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "it did not come true in time"
        time.sleep(0.02)


def first(event: Event[t.Any], ctx: Context) -> dict[str, bool]:
    return {"success": True}


def second(event: Event[t.Any], ctx: Context) -> None:
    event.payload["changed by"] = "second"


def failing(event: Event[t.Any], ctx: Context) -> None:
    raise ValueError("no such address")


def afterwards(event: Event[t.Any], ctx: Context) -> None: ...


def test_each_run_is_a_delivery_of_its_event_in_the_order_they_ran(manager: EventsManager) -> None:
    manager.register("x", first, second, failing)
    before = time.time()

    with pytest.raises(JobsFailed):
        manager.fire(Event("x", {"user": "Ada"}))

    [event], runs = recorded(manager)
    assert (event.name, event.payload, event.is_replayable, event.is_orphan) == ("x", '{"user":"Ada"}', True, False)
    assert (event.source, event.root_id, event.path, event.cause_id) == ("app", event.id, "[]", None)
    assert [run.job for run in runs] == [f"tests.test_recording:{name}" for name in ("first", "second", "failing")]
    assert [run.state for run in runs] == ["done", "done", "dead"]
    assert [run.result for run in runs] == ['{"success":true}', None, None]
    assert [run.error is None for run in runs] == [True, True, False]
    assert "in failing" in runs[2].error and "ValueError: no such address" in runs[2].error
    assert {(run.event_id, run.run, run.attempt, run.worker) for run in runs} == {(event.id, "now", 1, None)}
    times = [moment for run in runs for moment in (run.started_at, run.finished_at)]
    assert times == sorted(times)
    assert before - 1 < event.fired_at <= times[0] + 0.1 and times[-1] < time.time() + 1


def test_every_run_is_counted_in_the_rates(manager: EventsManager) -> None:
    manager.register("x", first, failing)

    for _ in range(7):
        with pytest.raises(JobsFailed):
            manager.fire(Event("x", {}))

    recorded(manager)
    with manager.log.read() as connection:
        counted = [(total.job.partition(":")[2], total.outcome, total.runs) for total in totals(connection, 0)]
    assert counted == [("failing", "dead", 7), ("first", "done", 7)]


def test_jobs_that_are_put_off_are_recorded_when_they_run_and_not_when_they_are_dropped(manager: EventsManager) -> None:
    manager.register("x", first)
    manager.register("x", afterwards, failing, run="after_response")
    manager.register("x", first, run="after_commit")

    @manager.app.get("/<int:status>")
    def view(status: int) -> tuple[str, int]:
        ctx.events.fire(Event("x", status))
        return "", status

    client = manager.app.test_client()
    client.get("/200")
    client.get("/500")

    fired, runs = recorded(manager)
    told = [(fired[0].id, word, state) for word, state in [("now", "done"), ("after_commit", "done")]]
    told += [(fired[0].id, "after_response", "done"), (fired[0].id, "after_response", "dead")]
    told += [(fired[1].id, word, state) for word, state in [("now", "done"), ("after_commit", "done")]]
    assert [(run.event_id, run.run, run.state) for run in runs] == told
    assert [event.payload for event in fired] == ["200", "500"]


def test_a_nested_event_is_recorded_with_its_cause(manager: EventsManager) -> None:
    manager.register("outer", lambda event, ctx: ctx.events.fire(Event("inner", 1)) and None)
    manager.register("inner", first)

    manager.fire(Event("outer"))

    (outer, inner), _ = recorded(manager)
    assert (inner.cause_id, inner.cause_name, inner.source) == (outer.id, "outer", "job")
    assert (inner.root_id, json.loads(inner.path)) == (outer.id, ["outer"])


def test_plain_receivers_run_and_are_not_recorded(manager: EventsManager, ran: list[object]) -> None:
    def receiver(event: Event[t.Any], ctx: Context) -> None:
        ran.append("receiver")

    def by_name(event: Event[t.Any], *, ctx: Context) -> None:
        ran.append("by name")

    manager.signal("x").connect(receiver)
    manager.register("x", t.cast(t.Any, by_name))

    manager.fire(Event("x"))

    _, runs = recorded(manager)
    assert ran == ["receiver", "by name"]
    assert [run.job.rpartition(".")[2] for run in runs] == ["by_name"]


def test_a_name_that_nobody_listens_to_is_an_orphan_and_a_declared_one_is_not(manager: EventsManager) -> None:
    manager.register("declared")

    manager.emit("unknown", {"a": 1})
    manager.emit("declared")

    fired, runs = recorded(manager)
    assert [(event.name, event.is_orphan) for event in fired] == [("unknown", True), ("declared", False)]
    assert runs == []


def test_nothing_is_recorded_while_events_are_disabled(manager: EventsManager) -> None:
    manager.register("x", first)

    with manager.disable():
        manager.fire(Event("x"))

    assert recorded(manager) == ([], [])


def test_async_jobs_are_recorded_like_others(manager: EventsManager) -> None:
    async def later(event: Event[t.Any], ctx: Context) -> int:
        await asyncio.sleep(0)
        return 7

    manager.register("x", first, later, failing)

    async def fire() -> None:
        with pytest.raises(JobsFailed):
            await manager.fire_async(Event("x"))

    asyncio.run(fire())

    _, runs = recorded(manager)
    assert [(run.job.rpartition(":")[2].rpartition(".")[2], run.state, run.result) for run in runs] == [
        ("first", "done", '{"success":true}'),
        ("later", "done", "7"),
        ("failing", "dead", None),
    ]


def test_a_run_that_ends_the_process_or_its_task_is_recorded_as_dead(manager: EventsManager) -> None:
    def leave(event: Event[t.Any], ctx: Context) -> None:
        raise SystemExit(3)

    async def cancelled(event: Event[t.Any], ctx: Context) -> None:
        raise asyncio.CancelledError

    manager.register("x", first, leave, second)
    manager.register("y", first, cancelled)

    with pytest.raises(SystemExit):
        manager.fire(Event("x", {}))
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(t.cast(t.Any, manager.fire_async(Event("y"))))

    _, runs = recorded(manager)
    assert [run.state for run in runs] == ["done", "dead"] * 2
    assert "SystemExit: 3" in runs[1].error and "CancelledError" in runs[3].error


class Cart:
    def __repr__(self) -> str:
        return "<Cart of Ada \N{SNOWMAN}>"


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("payload", "kept"),
    [
        (Cart(), "<Cart of Ada \N{SNOWMAN}>"),
        ({"cart": Cart()}, "{'cart': <Cart of Ada \N{SNOWMAN}>}"),
        ((1, 2), "(1, 2)"),
        (float("nan"), "nan"),
        (Broken(), "a Broken"),
        ("half \ud800 \0", "'half \\ud800 \\x00'"),
        ("x" * 300_000, f"'{'x' * 998}…"),
    ],
    ids=["object", "nested object", "tuple", "nan", "broken repr", "half a character", "large"],
)
def test_what_json_cannot_hold_is_recorded_by_its_repr(manager: EventsManager, payload: object, kept: str) -> None:
    manager.register("x", lambda event, ctx: event.payload)

    manager.fire(Event("x", payload))

    [event], [run] = recorded(manager)
    assert not event.is_replayable
    assert json.loads(event.payload) == json.loads(run.result) == kept


@pytest.mark.parametrize("payload", [None, "text \0 \N{SNOWMAN}", {"a": [1, 2.5, True, None, {"b": ""}]}, 2**62])
def test_what_json_can_hold_is_recorded_as_it_is(manager: EventsManager, payload: object) -> None:
    manager.emit("x", payload)

    [event], _ = recorded(manager)
    assert event.is_replayable
    assert json.loads(event.payload) == payload


def test_a_long_traceback_keeps_its_beginning_and_its_end(manager: EventsManager) -> None:
    def wordy(event: Event[t.Any], ctx: Context) -> None:
        raise ValueError("lost \0" + 100_000 * "-" + " last words")

    manager.register("x", wordy)

    with pytest.raises(JobsFailed):
        manager.fire(Event("x"))

    _, [run] = recorded(manager)
    assert run.error.startswith("ValueError: lost \\0---") and "last words" in run.error
    assert len(run.error) <= LONGEST_ERROR and "\0" not in run.error


def test_an_error_is_stored_alike_whether_its_job_was_queued_or_not(manager: EventsManager) -> None:
    manager.register("x", failing)
    manager.register("x", failing, run="queued", retry=Retry(max_attempts=1))

    with pytest.raises(JobsFailed):
        manager.fire(Event("x"))
    worker = Worker(manager, Plan(once=True, replaceable=False))
    worker.open()
    worker.run()

    _, runs = recorded(manager)
    told = {run.run: run.error.splitlines() for run in runs}
    for lines in (told["now"], told["queued"]):
        assert lines[:2] == ["ValueError: no such address", "Traceback (most recent call last):"]
        assert '    raise ValueError("no such address")' in lines


def test_the_same_id_fired_twice_is_one_event_with_the_runs_of_both(manager: EventsManager) -> None:
    manager.register("x", first)

    manager.emit("x", 1, id="order-7")
    manager.emit("x", 2, id="order-7")

    [event], runs = recorded(manager)
    assert event.payload == "1"
    assert [run.event_id for run in runs] == ["order-7", "order-7"]


def test_one_record_that_the_database_refuses_takes_no_other_with_it(
    manager: EventsManager, caplog: pytest.LogCaptureFixture
) -> None:
    is_sqlite = manager.log.engine.dialect.name == "sqlite"
    id: t.Any = ["what its driver takes for a programming error"] if is_sqlite else "half \ud800"
    manager.register("x", first)

    for number in range(5):
        manager.fire(Event("x", number))
        manager.queueing.recorder.start(Event("bad", id=id), (), is_orphan=True, awaits_event=False)

    fired, runs = recorded(manager)
    assert [event.payload for event in fired] == ["0", "1", "2", "3", "4"]
    assert len(runs) == 5
    assert [record.action for record in caplog.records] == ["record_refused"] * 5  # type: ignore[attr-defined]  # our extra


def test_a_run_that_postgresql_cannot_index_takes_no_other_with_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def job(event: Event[t.Any], ctx: Context) -> None: ...

    job.__qualname__ = secrets.token_hex(10_000)
    with new_database("postgresql", tmp_path) as url:
        manager = make_manager(tmp_path, CONDOR_DATABASE_URL=url)
        manager.register("x", first)
        manager.register("large", job)

        for number in range(3):
            manager.fire(Event("x", number))
            manager.fire(Event("large"))

        fired, _ = recorded(manager)
        assert [event.payload for event in fired] == ["0", "1", "2"]
        told = [record for record in caplog.records if record.name == manager.app.name]
        assert [record.action for record in told] == ["record_refused"] * 3  # type: ignore[attr-defined]  # our extra
        manager.log.engine.dispose()


@pytest.mark.parametrize("error", [ProgrammingError("", {}, Exception()), NotSupportedError("", {}, Exception())])
def test_what_a_driver_says_of_a_value_is_no_outage(error: Exception) -> None:
    with pytest.raises(LogUnavailable) as refusal, explained("it was not written"):
        raise error

    assert not flask_condor.recorder.is_outage(refusal.value)


def test_dropped_tables_are_an_outage_after_which_nothing_is_missing(
    manager: EventsManager, caplog: pytest.LogCaptureFixture
) -> None:
    manager.register("x", first)
    manager.fire(Event("x", 0))
    recorded(manager)
    with manager.log.begin() as connection:
        metadata.drop_all(connection)

    for number in range(1, 4):
        manager.fire(Event("x", number))
    assert not manager.queueing.recorder.flush()
    with manager.log.engine.begin() as connection:
        upgrade(connection)

    fired, _ = recorded(manager)
    assert [event.payload for event in fired] == ["1", "2", "3"]
    assert [record.action for record in caplog.records] == ["recorder_away", "recorder_back"]  # type: ignore[attr-defined]  # our extra
    assert "table condor_events is gone" in caplog.messages[0]


def test_an_event_with_a_queued_job_is_written_by_the_queue_alone(manager: EventsManager) -> None:
    manager.register("x", first)
    manager.register("x", afterwards, run="queued")

    manager.fire(Event("x", 5))

    [event], runs = recorded(manager)
    assert event.payload == "5"
    assert sorted((run.run, run.state) for run in runs) == [("now", "done"), ("queued", "pending")]


def test_a_refused_queued_event_can_be_fired_again_with_the_same_id(
    manager: EventsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager.register("x", first)
    manager.register("x", afterwards, run="queued")

    def refuse(*_: object) -> None:
        raise LogUnavailable("away")

    with monkeypatch.context() as patched, pytest.raises(LogUnavailable):
        patched.setattr(manager.queueing.outbox, "enqueue", refuse)
        manager.emit("x", id="order-7")
    assert recorded(manager) == ([], [])
    manager.emit("x", id="order-7")

    [event], runs = recorded(manager)
    assert event.id == "order-7"
    assert Counter(run.run for run in runs) == {"queued": 1, "now": 2}


def test_runs_wait_for_the_commit_that_their_event_is_queued_in(manager: EventsManager) -> None:
    from sqlalchemy.orm import Session

    manager.register("x", first)
    manager.register("x", afterwards, run="queued")
    is_sqlite = manager.log.engine.dialect.name == "sqlite"

    with Session(manager.log.engine) as session:
        session.connection()
        manager.emit("x", id="order-7", session=session)
        if not is_sqlite:  # there the open transaction holds the only write lock
            assert recorded(manager) == ([], [])
        session.commit()

    _, runs = recorded(manager)
    assert sorted(run.run for run in runs) == ["now", "queued"]


def test_runs_whose_event_is_never_committed_are_dropped_in_time_and_counted(
    manager: EventsManager, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlalchemy.orm import Session

    manager.register("x", first)
    manager.register("x", afterwards, run="queued")

    for _ in range(3):
        with Session(manager.log.engine) as session:
            manager.fire(Event("x"), session=session)
            session.rollback()
    assert recorded(manager) == ([], [])
    assert len(manager.queueing.recorder._waiting) == 3
    monkeypatch.setattr(flask_condor.recorder, "PATIENCE", 0.0)
    recorded(manager)

    assert not manager.queueing.recorder._waiting
    assert caplog.messages == [
        "the runs of 3 events were not recorded: the event of 3 was rolled back, or is not committed yet."
    ]


@pytest.mark.parametrize("word", ["queued", "off"])
def test_with_another_word_nothing_is_recorded_and_the_short_way_is_taken(tmp_path: Path, word: str) -> None:
    url = f"sqlite:///{tmp_path / 'condor.db'}"
    manager = make_manager(tmp_path, CONDOR_DATABASE_URL=url, CONDOR_LOG=word)
    manager.register("x", first)

    manager.fire(Event("x"))

    assert "x" in manager.registry.signals.plans
    assert recorded(manager) == ([], [])


@pytest.mark.parametrize("word", ["ALL", "", True, None, "none"])
def test_an_unknown_word_is_refused_and_named(tmp_path: Path, word: object) -> None:
    with pytest.raises(ConfigInvalid, match=rf"CONDOR_LOG is {word!r}: expected 'all', 'queued' or 'off'"):
        make_manager(tmp_path, CONDOR_LOG=word)


def test_the_log_goes_on_with_the_first_queued_job(tmp_path: Path) -> None:
    manager = make_manager(tmp_path)
    manager.register("x", first)
    manager.fire(Event("x", "not recorded"))

    manager.register("y", afterwards, run="queued")
    manager.fire(Event("x", "recorded"))

    [event], _ = recorded(manager)
    assert event.payload == '"recorded"'


def test_the_log_goes_on_with_the_first_delayed_event(tmp_path: Path) -> None:
    manager = make_manager(tmp_path)
    manager.register("x", first)
    manager.fire(Event("x", "not recorded"))

    manager.fire(Event("x", "delayed"), delay=3600)
    manager.fire(Event("x", "recorded"))

    fired, runs = recorded(manager)
    assert [event.payload for event in fired] == ['"delayed"', '"recorded"']
    assert [run.run for run in runs] == ["queued", "now"]


def test_what_ran_is_written_soon_without_being_asked(manager: EventsManager) -> None:
    manager.register("x", first)
    with manager.log.begin():
        pass

    manager.fire(Event("x"))

    def is_written() -> object:
        with manager.log.read() as connection:
            return connection.scalar(select(rates.c.runs).where(rates.c.width == 60))

    wait_until(is_written)


def test_no_request_waits_for_the_database(on_sqlite: EventsManager) -> None:
    on_sqlite.register("x", first)
    threads: set[int] = set()
    outage = Outage(on_sqlite, lambda: threads.add(threading.get_ident()))
    on_sqlite.queueing.recorder = Recorder(outage, on_sqlite.app.logger)
    on_sqlite.app.get("/")(lambda: str(ctx.events.fire(Event("x"))))

    for _ in range(20):
        on_sqlite.app.test_client().get("/")
    wait_until(lambda: not on_sqlite.queueing.recorder._waiting and threads)

    assert threading.get_ident() not in threads


def test_the_thread_ends_when_there_is_nothing_to_write_and_comes_back(
    on_sqlite: EventsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recorder, "idle", 0.01)
    monkeypatch.setattr(Recorder, "interval", 0.01)
    on_sqlite.register("x", first)

    for _ in range(3):
        on_sqlite.fire(Event("x"))
        thread = on_sqlite.queueing.recorder._thread
        assert thread is None or thread.daemon
        wait_until(lambda: on_sqlite.queueing.recorder._thread is None)

    assert len(recorded(on_sqlite)[1]) == 3


class Outage:
    """Stands for a log whose database can be taken away."""

    def __init__(self, manager: EventsManager, called: Callable[[], object] = lambda: None) -> None:
        self._log = manager.log
        self._called = called
        self.is_away = False
        self.tries = 0

    @contextmanager
    def begin(self, what: str = "") -> Iterator[Connection]:
        self.tries += 1
        self._called()
        if self.is_away:
            raise LogUnavailable(f"{what}: gone.")
        with self._log.begin(what) as connection:
            yield connection


def test_an_outage_is_told_of_once_and_loses_nothing_within_the_bound(
    on_sqlite: EventsManager, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recorder, "longest_rest", 0.05)
    outage = Outage(on_sqlite)
    on_sqlite.queueing.recorder = Recorder(outage, on_sqlite.app.logger)
    on_sqlite.register("x", first)
    outage.is_away = True

    for number in range(50):
        on_sqlite.fire(Event("x", number))
    wait_until(lambda: outage.tries >= 3)
    assert not on_sqlite.queueing.recorder.flush()
    outage.is_away = False

    fired, runs = recorded(on_sqlite)
    assert [event.payload for event in fired] == [str(number) for number in range(50)]
    assert len(runs) == 50
    assert [record.action for record in caplog.records] == ["recorder_away", "recorder_back"]  # type: ignore[attr-defined]  # our extra


def test_what_exceeds_the_bound_is_dropped_counted_and_told_of(
    on_sqlite: EventsManager, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flask_condor.recorder, "MOST", 100)
    monkeypatch.setattr(Recorder, "interval", 3600.0)
    on_sqlite.register("x", first)

    for number in range(250):
        on_sqlite.fire(Event("x", number))

    fired, _ = recorded(on_sqlite)
    assert [event.payload for event in fired] == [str(number) for number in range(100)]
    [warning] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert warning.dropped == 150  # type: ignore[attr-defined]  # our extra


def test_large_payloads_are_bounded_together(on_sqlite: EventsManager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flask_condor.recorder, "LARGEST", 100_000)
    monkeypatch.setattr(Recorder, "interval", 3600.0)

    for _ in range(20):
        on_sqlite.emit("x", "y" * 10_000)

    assert 9 <= len(recorded(on_sqlite)[0]) <= 11


def test_a_forked_child_writes_its_own_and_leaves_its_parents_to_the_parent(manager: EventsManager) -> None:
    manager.register("x", first)
    for number in range(50):
        manager.fire(Event("x", f"parent {number}"))

    children = []
    for child in range(3):
        pid = os.fork()
        if pid == 0:
            manager.fire(Event("x", f"child {child}"))
            os._exit(0 if writes_all(manager) else 1)
        children.append(pid)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0, 0, 0]

    fired, runs = recorded(manager)
    expected = [f"parent {number}" for number in range(50)] + [f"child {child}" for child in range(3)]
    assert sorted(json.loads(event.payload) for event in fired) == sorted(expected)
    assert len(runs) == 53


def test_a_forked_child_starts_a_thread_of_its_own(on_sqlite: EventsManager) -> None:
    on_sqlite.register("x", first)
    on_sqlite.fire(Event("x", "parent"))

    pid = os.fork()
    if pid == 0:
        on_sqlite.fire(Event("x", "child"))
        time.sleep(60)
        os._exit(1)
    try:
        wait_until(lambda: len(recorded(on_sqlite)[0]) == 2)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_forks_amid_writes_neither_hang_nor_write_twice(on_sqlite: EventsManager) -> None:
    on_sqlite.register("x", first)
    is_over = threading.Event()

    def keep_writing() -> None:
        while not is_over.is_set():
            on_sqlite.fire(Event("x", "parent"))
            on_sqlite.queueing.recorder.flush()

    writer = threading.Thread(target=keep_writing)
    writer.start()
    codes = []
    for _ in range(20):
        pid = os.fork()
        if pid == 0:
            signal.alarm(120)
            on_sqlite.fire(Event("x", "child"))
            os._exit(0 if writes_all(on_sqlite) else 1)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    is_over.set()
    writer.join()

    fired, runs = recorded(on_sqlite)
    assert codes == [0] * 20
    assert sum(event.payload == '"child"' for event in fired) == 20
    assert len({event.id for event in fired}) == len(runs)


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["each worker loads", "preloaded"])
@pytest.mark.parametrize("kind", ["sync", "gthread"])
def test_gunicorn_records_every_request_of_every_worker_once(
    database_url: str, preload: tuple[str, ...], kind: str
) -> None:
    options = ("--workers=2", f"--worker-class={kind}", *preload)
    with gunicorn("tests.apps.recording:app", *options, CONDOR_DATABASE_URL=database_url) as server:
        answers = server.get_all([f"/{number}" for number in range(400)])

    assert {status for status, _ in answers} == {200}
    engine = open_database(make_url(database_url))
    with engine.begin() as connection:
        fired = connection.execute(select(events)).all()
        runs = Counter(
            (run.event_id, run.run, run.job.rpartition(":")[2]) for run in connection.execute(select(deliveries))
        )
    engine.dispose()
    of_requests = [event for event in fired if event.name == "request.fired"]
    assert sorted(event.id for event in of_requests) == sorted(body for _, body in answers)
    assert sorted(int(json.loads(event.payload)["number"]) for event in of_requests) == list(range(400))
    assert len(fired) - 400 == (1 if preload else 2)
    for _, event_id in answers:
        for entry in (("now", "first"), ("now", "second"), ("after_response", "afterwards")):
            assert runs.pop((event_id, *entry)) == 1
    assert sum(runs.values()) == len(fired) - 400


PROGRAM = """
import os, sys
from flask import Flask
from flask_condor import Condor, Event
app = Flask("program")
app.config["CONDOR_DATABASE_URL"] = sys.argv[1]
Condor(app)
manager = app.extensions["condor"]
def job(event, ctx): ...
manager.register("x", job)
for number in range(30):
    manager.fire(Event("x", number))
"""


@pytest.mark.parametrize(
    "ending",
    [
        "",
        "raise SystemExit(0)",
        "from multiprocessing import get_context\n"
        "child = get_context('fork').Process(target=manager.fire, args=(Event('x', 30),))\n"
        "child.start(); child.join(); assert child.exitcode == 0",
    ],
    ids=["end", "exit", "child of multiprocessing"],
)
def test_what_waits_is_written_when_the_process_ends(tmp_path: Path, ending: str) -> None:
    url = f"sqlite:///{tmp_path / 'condor.db'}"

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + ending, url], cwd=ROOT, capture_output=True, text=True, timeout=60
    )

    assert (done.returncode, done.stderr) == (0, "")
    engine = open_database(make_url(url))
    with engine.begin() as connection:
        payloads = sorted(int(text) for text in connection.scalars(select(events.c.payload)))
        assert len(connection.execute(select(deliveries)).all()) == len(payloads)
    engine.dispose()
    assert payloads == list(range(30 + ("multiprocessing" in ending)))


def test_a_process_that_ends_amid_an_outage_says_what_is_lost(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'missing' / 'condor.db'}"
    ending = (
        f"import shutil; shutil.rmtree({str(tmp_path / 'missing')!r}, True); open({str(tmp_path / 'missing')!r}, 'w')"
    )

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + ending, url], cwd=ROOT, capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 0
    assert "the runs of 30 events were not recorded" in done.stderr
    assert done.stderr.count("is not recorded yet") == 1
