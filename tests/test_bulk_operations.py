"""Operations on many: begun with a fixed filter, carried out by one worker at a time, each row exactly once."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventName
from flask_condor import EventsManager
from flask_condor import bulk
from flask_condor import bulk_worker
from flask_condor import counting
from flask_condor import purge
from flask_condor.bulk_operations import BulkOperation
from flask_condor.bulk_operations import Chosen
from flask_condor.bulk_operations import ChosenDead
from flask_condor.bulk_operations import ChosenEnded
from flask_condor.bulk_operations import ChosenFired
from flask_condor.bulk_operations import abort
from flask_condor.bulk_operations import begin
from flask_condor.bulk_operations import count
from flask_condor.bulk_operations import operation_of
from flask_condor.bulk_operations import work_of
from flask_condor.bulk_worker import BulkWorker
from flask_condor.errors import OperationRefused
from flask_condor.models import attempts
from flask_condor.models import audit
from flask_condor.models import bulk_operations
from flask_condor.models import deliveries
from flask_condor.models import events
from flask_condor.plan import Plan
from flask_condor.worker import Worker
from sqlalchemy import func
from sqlalchemy import insert
from sqlalchemy import select
from sqlalchemy import update

from tests.commands import printed
from tests.commands import printed_json
from tests.commands import refusal
from tests.commands import run
from tests.databases import accepted
from tests.databases import queued
from tests.workers import Bench
from tests.workers import bench as bench


class Paid(msgspec.Struct):
    cents: int


def mail(event: Event[Any], ctx: Context) -> None:
    pass


def index(event: Event[Any], ctx: Context) -> None:
    pass


@pytest.fixture
def manager(durable_manager: EventsManager, monkeypatch: pytest.MonkeyPatch) -> EventsManager:
    durable_manager.register("user-registered", mail, run="queued")
    durable_manager.register("password-changed", mail, run="queued")
    durable_manager.register("password-changed", index, run="queued")
    monkeypatch.setattr(bulk, "RETRIES", 2)
    monkeypatch.setattr(bulk, "REPLAYS", 2)
    monkeypatch.setattr(purge, "BATCH", 2)
    monkeypatch.setattr(purge, "LOOKED_AT", 3)
    return durable_manager


def fire(manager: EventsManager, name: str = "user-registered", times: int = 1) -> list[str]:
    return [manager.fire(Event(name, {"to": "Ada"})).id for _ in range(times)]


def end(manager: EventsManager, state: str = "dead", at: float = 100.0) -> None:
    with manager.log.begin() as connection:
        ended = update(deliveries).where(deliveries.c.state == "pending")
        connection.execute(ended.values(state=state, finished_at=at, attempt=5))


def started(manager: EventsManager, chosen: Chosen, title: str = "after the outage") -> int:
    with manager.log.begin() as connection:
        return begin(connection, manager.registry, chosen, title=title, actor="ada")


def found(manager: EventsManager, number: int = 1) -> BulkOperation:
    with manager.log.read() as connection:
        operation = operation_of(connection, number)
    assert operation is not None
    return operation


def carry_out(manager: EventsManager, worker: str = "one") -> None:
    one = BulkWorker(manager, worker)
    one.tick()
    while one.is_busy:
        time.sleep(0.01)
        one.tick()


def states(manager: EventsManager) -> list[str]:
    return [row.state for row in queued(manager)]


def replayed(manager: EventsManager) -> list[str]:
    with manager.log.read() as connection:
        copies = select(events.c.replay_of).where(events.c.replay_of.is_not(None))
        return list(connection.scalars(copies.order_by(events.c.fired_at)))


def audited(manager: EventsManager) -> list[tuple[str, str, Any]]:
    with manager.log.read() as connection:
        rows = connection.execute(select(audit).order_by(audit.c.id)).all()
    return [(row.actor, row.action, json.loads(row.detail)) for row in rows]


def amid(monkeypatch: pytest.MonkeyPatch, work: Any, act: Callable[[], object], batch: int = 2) -> None:
    """Do something in that batch, before it does its own."""
    whole: Callable[..., int] = work.batch
    calls: list[int] = []

    def batch_and_act(*args: Any) -> int:
        calls.append(1)
        if len(calls) == batch:
            act()
        return whole(*args)

    monkeypatch.setattr(work, "batch", batch_and_act)


def break_off() -> None:
    raise SystemExit("the worker is killed")


def test_a_worker_retries_what_is_chosen_and_tells_how_much(manager: EventsManager) -> None:
    fire(manager, times=5)
    fire(manager, "password-changed")
    end(manager)
    number = started(manager, ChosenDead(event="user-registered"))
    assert (found(manager).state, found(manager).total, found(manager).done) == ("pending", 5, 0)

    carry_out(manager)

    assert states(manager) == ["pending"] * 5 + ["dead"] * 2
    one = found(manager, number)
    assert (one.state, one.total, one.done, one.left_out, one.error, one.is_over) == ("done", 5, 5, 0, None, True)


def test_an_operation_is_audited_where_it_begins_and_ends_and_so_is_each_row(manager: EventsManager) -> None:
    fire(manager, times=2)
    end(manager)
    started(manager, ChosenDead())
    carry_out(manager)

    told = audited(manager)
    assert [(who, what) for who, what, _ in told] == [
        ("ada", "operation-begin"),
        *[("ada", "retry")] * 2,
        ("ada", "operation-end"),
    ]
    chosen = {"kind": "retry", "event": None, "job": None, "failure": None}
    assert told[0][2] == {"operation": 1, "title": "after the outage", "chosen": chosen}
    assert told[-1][2]["result"] == {"state": "done", "error": None, "done": 2, "left_out": 0}


def test_what_dies_after_it_was_begun_is_not_chosen(manager: EventsManager) -> None:
    fire(manager)
    end(manager)
    started(manager, ChosenDead())
    fire(manager)
    end(manager)

    carry_out(manager)

    assert states(manager) == ["pending", "dead"]


def test_events_of_a_time_are_replayed_and_those_that_cannot_be_are_left_out_and_told(manager: EventsManager) -> None:
    paid = EventName("order-paid", Paid)
    manager.register(paid, mail, run="queued")
    ids = [manager.fire(Event(paid, Paid(n))).id for n in range(6)]
    with manager.log.begin() as connection:
        connection.execute(update(events).where(events.c.id == ids[1]).values(payload='{"cents": "many"}'))
        connection.execute(update(events).where(events.c.id == ids[2]).values(is_replayable=False))
    started(manager, ChosenFired(event=paid, since=1.0))
    manager.fire(Event(paid, Paid(7)))

    carry_out(manager)

    one = found(manager)
    assert (one.state, one.total, one.done, one.left_out) == ("done", 5, 4, 1)
    assert one.error is not None and ids[1] in one.error and "cents" in one.error
    assert replayed(manager) == [ids[0], *ids[3:]]


def test_a_purge_takes_finished_deliveries_with_their_attempts_and_events(manager: EventsManager) -> None:
    fire(manager, times=3)
    end(manager, "done")
    (mixed,) = fire(manager, "password-changed")
    with manager.log.begin() as connection:
        connection.execute(update(deliveries).where(deliveries.c.id == 4).values(state="dead", finished_at=100.0))
        of = {"outcome": "dead", "ended_at": 100.0, "failure_id": 1}
        connection.execute(insert(attempts), [{"delivery_id": n, "attempt": 1, **of} for n in (3, 4, 5)])
    kept = fire(manager)
    started(manager, ChosenEnded(before=200.0))

    carry_out(manager)

    assert [(row.id, row.state) for row in queued(manager)] == [(5, "pending"), (6, "pending")]
    with manager.log.read() as connection:
        assert set(connection.scalars(select(events.c.id))) == {mixed, *kept}
        assert list(connection.scalars(select(attempts.c.delivery_id))) == [5]
    assert (found(manager).done, found(manager).total) == (4, 4)


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({"event": "user-registered"}, ["dead", "dead"]),
        ({"job": "index"}, ["done", "done", "dead"]),
        ({"states": ["dead"]}, ["done", "done"]),
        ({"before": 50.0}, ["done", "done", "dead", "dead"]),
    ],
)
def test_a_purge_takes_nothing_that_is_not_chosen(
    manager: EventsManager, options: dict[str, Any], left: list[str]
) -> None:
    fire(manager, times=2)
    end(manager, "done")
    fire(manager, "password-changed")
    end(manager, "dead")

    with manager.log.begin() as connection:
        row = {"bus": "default", "title": "x", "kind": "purge", "actor": "ada", "state": "pending", "total": 1}
        text = json.dumps({"kind": "purge", "before": 200.0} | options)
        row |= {"chosen": text, "done": 0, "left_out": 0, "place": "[0, -1, -1]", "created_at": 1.0}
        connection.execute(insert(bulk_operations).values(row))
    carry_out(manager)

    assert states(manager) == left and found(manager).state == "done"


def test_events_that_never_had_a_delivery_are_purged_too_unless_only_some_are_chosen(manager: EventsManager) -> None:
    manager.emit("nobody-listens")
    assert manager.queueing.recorder.flush(60)
    fire(manager)
    end(manager, "done")
    started(manager, ChosenEnded(before=time.time() + 9, states=("done",)))
    carry_out(manager)
    assert accepted(manager) == ["nobody-listens"]

    started(manager, ChosenEnded(before=time.time() + 9))
    carry_out(manager)
    assert accepted(manager) == []


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_one_that_is_killed_amid_a_batch_is_taken_over_and_replays_no_event_twice(
    manager: EventsManager, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    ids = fire(manager, times=5)
    started(manager, ChosenFired(event="user-registered", since=1.0))
    with monkeypatch.context() as broken:
        amid(broken, bulk.ReplayFired, break_off, batch)
        with pytest.raises(SystemExit):
            BulkWorker(manager, "one")._carry_out()
    before = replayed(manager)
    with manager.log.begin() as connection:
        connection.execute(update(bulk_operations).values(lease_until=1.0))

    carry_out(manager, "two")

    assert len(before) == (batch - 1) * 2 and sorted(replayed(manager)) == sorted(ids)
    assert (found(manager).state, found(manager).done, found(manager).worker) == ("done", 5, "two")


def test_the_new_event_has_an_id_by_which_it_is_not_replayed_again(
    manager: EventsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    (old,) = fire(manager)
    started(manager, ChosenFired(event="user-registered", since=1.0))
    carry_out(manager)
    with manager.log.begin() as connection:
        again = {"state": "pending", "finished_at": None, "worker": None, "place": '[1.0, ""]'}
        connection.execute(update(bulk_operations).values(again))

    carry_out(manager)

    assert replayed(manager) == [old]


def test_no_other_worker_takes_what_one_holds_and_who_lost_it_writes_nothing(
    manager: EventsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    fire(manager, times=6)
    end(manager)
    started(manager, ChosenDead())
    with manager.log.begin() as connection:
        held = bulk_worker.take(connection, "one")
        assert held is not None and bulk_worker.take(connection, "two") is None
        connection.execute(update(bulk_operations).values(lease_until=1.0))
        assert bulk_worker.take(connection, "two") is not None

    with manager.log.begin() as connection:
        work = work_of(manager.registry, ChosenDead(), "ada")
        assert bulk_worker.do_batch(connection, held, "one", work) == "lost"
    assert states(manager) == ["dead"] * 6


def test_an_aborted_operation_ends_between_two_batches(manager: EventsManager, monkeypatch: pytest.MonkeyPatch) -> None:
    fire(manager, times=6)
    end(manager)
    number = started(manager, ChosenDead())
    one = BulkWorker(manager, "one")
    monkeypatch.setattr(bulk_worker, "SHORTEST_PAUSE", 600)
    one.tick()
    until = time.monotonic() + 30
    while found(manager).done == 0 and time.monotonic() < until:
        time.sleep(0.01)

    with manager.log.begin() as connection:
        assert abort(connection, number, "grace") and not abort(connection, number, "grace")
    one.end()

    assert states(manager).count("pending") == 2 and (found(manager).state, found(manager).done) == ("aborted", 2)
    assert [what for who, what, _ in audited(manager) if who == "grace"] == ["operation-abort"]


def test_a_worker_that_ends_gives_its_operation_back(manager: EventsManager, monkeypatch: pytest.MonkeyPatch) -> None:
    fire(manager, times=6)
    end(manager)
    started(manager, ChosenDead())
    monkeypatch.setattr(bulk_worker, "SHORTEST_PAUSE", 600)
    one = BulkWorker(manager, "one")
    one.tick()
    until = time.monotonic() + 30
    while found(manager).done == 0 and time.monotonic() < until:
        time.sleep(0.01)
    one.end()
    monkeypatch.setattr(bulk_worker, "SHORTEST_PAUSE", 0)

    assert (found(manager).state, found(manager).worker) == ("running", None)
    carry_out(manager, "two")
    assert (found(manager).state, found(manager).done) == ("done", 6)


def test_an_operation_that_cannot_be_carried_out_fails_and_the_next_one_is_not_kept_waiting(
    manager: EventsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    fire(manager)
    started(manager, ChosenFired(event="user-registered", since=1.0))
    end(manager)
    started(manager, ChosenDead())
    del manager.registry._jobs["user-registered"]

    carry_out(manager)

    failed, done = found(manager, 1), found(manager, 2)
    assert failed.state == "failed" and "no job to replay" in (failed.error or "") and failed.is_over
    assert (done.state, done.done) == ("done", 1)


def test_a_worker_that_runs_once_carries_operations_out_and_runs_what_they_queued(manager: EventsManager) -> None:
    fire(manager, times=5)
    end(manager, at=time.time())
    started(manager, ChosenDead())

    once = Worker(manager, Plan(threads=2, once=True, replaceable=False))
    once.open()
    once.run()

    assert found(manager).state == "done" and states(manager) == ["done"] * 5


def test_an_operation_is_of_one_bus(manager: EventsManager) -> None:
    fire(manager)
    end(manager)
    started(manager, ChosenDead())

    with manager.log.begin() as connection:
        other = connection.execution_options(condor_bus="other")
        assert bulk_worker.take(other, "one") is None and operation_of(other, 1) is None
        with pytest.raises(OperationRefused, match="not in the event log"):
            abort(other, 1, "ada")


def test_a_count_for_a_preview_ends_where_it_would_take_long(
    manager: EventsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    fire(manager, times=4)
    end(manager)
    choices = (ChosenDead(), ChosenFired(event="user-registered"), ChosenEnded(before=200.0))

    with manager.log.read() as connection:
        assert [str(count(connection, manager.registry, chosen)) for chosen in choices] == ["4"] * 3
        monkeypatch.setattr(counting, "MOST", 3)
        assert [str(count(connection, manager.registry, chosen)) for chosen in choices] == ["3+"] * 3
        monkeypatch.setattr(counting, "MOST", 10)
        monkeypatch.setattr(counting, "LOOKED_AT", 2)
        assert [str(count(connection, manager.registry, chosen)) for chosen in choices] == ["3+"] * 3


def test_events_without_deliveries_are_previewed_where_the_deliveries_are_not_more_already(
    manager: EventsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    fire(manager, times=3)
    end(manager)
    idle = {"id": "idle", "name": "a", "payload": "{}", "is_replayable": True, "is_orphan": True, "source": "app"}
    idle |= {"fired_at": 100.0, "root_id": "idle", "path": "[]", "bus": "default"}
    with manager.log.begin() as connection:
        connection.execute(insert(events).values(idle))

    all_of_them, of_a = ChosenEnded(before=200.0), ChosenEnded(before=200.0, event="a")
    with manager.log.read() as connection:
        few = [str(count(connection, manager.registry, chosen)) for chosen in (all_of_them, of_a)]
        monkeypatch.setattr(counting, "LOOKED_AT", 2)
        many = [str(count(connection, manager.registry, chosen)) for chosen in (all_of_them, of_a)]

    assert few == ["4", "1"]
    assert many == ["3+", "1+"]


@pytest.mark.parametrize("title", ["", "  ", "two\nlines", "x" * 201])
def test_a_title_is_one_line(manager: EventsManager, title: str) -> None:
    fire(manager)
    end(manager)

    with pytest.raises(OperationRefused, match="is no title"):
        started(manager, ChosenDead(), title)


def test_what_is_empty_is_not_begun(manager: EventsManager) -> None:
    with pytest.raises(OperationRefused, match="nothing is chosen"):
        started(manager, ChosenDead())
    with pytest.raises(OperationRefused, match="no job to replay"):
        started(manager, ChosenFired(event="unknown"))


def test_commands_begin_show_and_abort_operations(manager: EventsManager) -> None:
    fire(manager, times=2)
    end(manager)

    assert printed_json(manager, "retry", "--all-dead", "--in-worker", "--yes") == [{"operation": 1}]
    replay = ["replay", "--event", "user-registered", "--since", "1h", "--job", "mail", "--in-worker"]
    assert "Replay 2 events, each as a new one, in a worker?" in run(manager, *replay, typed="n\n").stderr
    assert printed_json(manager, *replay, "--yes") == [{"operation": 2}]
    assert printed_json(manager, "purge", "--before", "1h", "--in-worker", "--yes") == [{"operation": 3}]
    assert printed_json(manager, "abort", 2) == [{"aborted": 2}]
    assert printed(manager, "abort", 2) == "Nothing to abort: it has ended.\n"
    assert "operation 9 is not in the event log" in refusal(manager, "abort", 9)

    shown = printed_json(manager, "operations")
    assert [(one["id"], one["kind"], one["state"], one["by"], one["total"]) for one in shown] == [
        (3, "purge", "pending", "cli", 2),
        (2, "replay", "aborted", "cli", 2),
        (1, "retry", "pending", "cli", 2),
    ]
    assert shown[1]["chosen"]["jobs"] == ["mail"] and shown[1]["title"] == "Replay user-registered"
    assert "--in-worker goes with --all-dead" in refusal(manager, "retry", 1, "--in-worker")


def test_a_purge_can_be_done_at_once(manager: EventsManager) -> None:
    fire(manager, times=3)
    end(manager)

    assert "Delete 3 rows for good?" in run(manager, "purge", "--before", "1h", typed="n\n").stderr
    assert printed(manager, "purge", "--before", "1h", "--state", "done", "--yes") == "Purged nothing: there is none.\n"
    assert printed_json(manager, "purge", "--before", "1h", "--state", "dead", "--yes") == [{"count": 3}]
    assert states(manager) == []


@pytest.mark.reliability
def test_a_worker_process_that_is_killed_amid_a_replay_neither_repeats_nor_skips_an_event(bench: Bench) -> None:
    manager = bench.manager
    bench.fire("ok", 1, times=1500)
    with manager.log.begin() as connection:
        connection.execute(update(deliveries).values(state="done", finished_at=time.time()))
        began = ChosenFired(event="ok", since=1.0)
        begin(connection, manager.registry, began, title="again", actor="ada")
    worker = bench.start()
    bench.wait_for(lambda: found(manager).done >= 100)
    for pid in {worker.pid, *children_of(worker.pid)}:
        os.kill(pid, signal.SIGKILL)
    done = found(manager).done

    bench.start()
    bench.wait_for(lambda: found(manager).state == "done", 120)

    assert 100 <= done < 1500 and found(manager).done == 1500
    with manager.log.read() as connection:
        copies = select(func.count(), func.count(events.c.replay_of.distinct())).where(events.c.replay_of.is_not(None))
        assert tuple(connection.execute(copies).one()) == (1500, 1500)


def children_of(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        return [int(child) for child in children.read().split()]
