"""The upkeep: fires each tick once, however many workers see it, and prunes a little at a time."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor import upkeep
from flask_condor.errors import LogUnavailable
from flask_condor.models import deliveries
from flask_condor.models import events
from flask_condor.rows import event_from
from flask_condor.upkeep import Upkeep
from sqlalchemy import select
from sqlalchemy import update
from sqlalchemy.engine import Row

MIDNIGHT = 86_400.0 * 20_000
EVERY_MINUTE = "* * * * *"


class Hands:
    """A clock that is set by hand."""

    def __init__(self, now: float = MIDNIGHT) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def report(event: Event[Any], ctx: Context) -> None:
    pass


def tidy(event: Event[Any], ctx: Context) -> None:
    raise AssertionError("called at once")


@pytest.fixture
def manager(durable_manager: EventsManager, monkeypatch: pytest.MonkeyPatch) -> EventsManager:
    monkeypatch.setattr(upkeep, "FIRST_PRUNE", 1e9)
    monkeypatch.setattr(upkeep, "BETWEEN_FAILURES", 0.0)
    durable_manager.register("report-due", report, run="queued", priority=2)
    durable_manager.register("report-due", tidy)
    return durable_manager


def rows(manager: EventsManager, table: Any = events) -> list[Row[Any]]:
    with manager.log.read() as connection:
        return list(connection.execute(select(table).order_by(table.c.id)))


def fired(manager: EventsManager) -> list[float]:
    return sorted(row.fired_at - MIDNIGHT for row in rows(manager))


def test_a_tick_queues_all_jobs_of_its_event_due_at_that_moment(manager: EventsManager) -> None:
    manager.schedule("report-due", "0 0 * * *", {"of": ["sales"]})

    Upkeep(manager, Hands(MIDNIGHT + 1.5)).tick()

    (event,) = rows(manager)
    made = event_from(event)
    assert (made.name, made.payload, made.source, made.cause) == ("report-due", {"of": ["sales"]}, "app", None)
    told = [(row.job, row.state, row.run, row.priority, row.due_at) for row in rows(manager, deliveries)]
    assert told == [
        (f"{__name__}:report", "pending", "queued", 2, MIDNIGHT),
        (f"{__name__}:tidy", "pending", "queued", 0, MIDNIGHT),
    ]


def test_every_tick_is_fired_once_as_time_goes_by(manager: EventsManager) -> None:
    manager.schedule("report-due", EVERY_MINUTE)
    clock = Hands(MIDNIGHT + 30)
    kept = Upkeep(manager, clock)

    for _ in range(200):
        kept.tick()
        clock.now += 0.9

    assert fired(manager) == [0, 60, 120, 180]


def test_ticks_missed_while_no_worker_ran_are_left_out_save_those_of_the_last_minute(manager: EventsManager) -> None:
    manager.schedule("report-due", "*/2 * * * *")
    clock = Hands(MIDNIGHT + 179)

    Upkeep(manager, clock).tick()
    assert fired(manager) == [120]

    Upkeep(manager, Hands(MIDNIGHT + 3600 + 61)).tick()
    assert fired(manager) == [120]


def test_a_worker_that_stood_still_fires_no_burst(manager: EventsManager) -> None:
    manager.schedule("report-due", EVERY_MINUTE)
    clock = Hands(MIDNIGHT + 30)
    kept = Upkeep(manager, clock)
    kept.tick()

    clock.now += 3600
    kept.tick()

    assert fired(manager) == [0, 3600]


def test_a_clock_that_is_put_forward_and_back_loses_and_doubles_nothing(manager: EventsManager) -> None:
    manager.schedule("report-due", EVERY_MINUTE)
    clock = Hands(MIDNIGHT + 30)
    kept = Upkeep(manager, clock)
    kept.tick()

    for now in (3600 + 30, 35, 61, 122):
        clock.now = MIDNIGHT + now
        kept.tick()

    assert fired(manager) == [0, 60, 120, 3600]
    (late,) = [row for row in rows(manager) if row.fired_at == MIDNIGHT + 3600]
    assert {row.due_at for row in rows(manager, deliveries) if row.event_id == late.id} == {MIDNIGHT + 3600}


def test_8_workers_that_see_one_tick_at_once_make_one_event(manager: EventsManager) -> None:
    manager.schedule("report-due", "0 0 * * *")
    kept = [Upkeep(manager, Hands(MIDNIGHT + 1)) for _ in range(8)]
    start = threading.Barrier(8)

    def tick(one: Upkeep) -> None:
        start.wait(30)
        one.tick()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(tick, kept))

    assert len(rows(manager)) == 1 and len(rows(manager, deliveries)) == 2


def test_schedules_of_one_name_and_of_several_are_told_apart(manager: EventsManager) -> None:
    manager.schedule("report-due", "0 0 * * *")
    manager.schedule("report-due", "@daily")
    manager.schedule("tidied-up", "0 0 * * *", timezone="Europe/Berlin")
    manager.schedule("tidied-up", "0 0 * * *")

    Upkeep(manager, Hands(MIDNIGHT + 1)).tick()

    assert sorted(row.name for row in rows(manager)) == ["report-due", "report-due", "tidied-up"]


def test_an_event_that_has_no_job_is_recorded_as_an_orphan_and_warned_of(
    manager: EventsManager, caplog: pytest.LogCaptureFixture
) -> None:
    manager.schedule("nobody-cares", "0 0 * * *")

    Upkeep(manager, Hands(MIDNIGHT + 1)).tick()

    assert [(row.name, row.is_orphan) for row in rows(manager)] == [("nobody-cares", True)]
    assert "event nobody-cares, which has no job" in caplog.text


def test_a_failure_is_logged_and_never_raised_and_made_good_later(
    manager: EventsManager, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager.schedule("report-due", EVERY_MINUTE)
    clock = Hands(MIDNIGHT + 30)
    kept = Upkeep(manager, clock)

    def unavailable(what: str = "") -> Any:
        raise LogUnavailable(f"{what}: the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(manager.log, "begin", unavailable)
        kept.tick()
    assert "upkeep of the event log failed: scheduled event report-due was not accepted: the disk is f" in caplog.text
    clock.now += 10
    kept.tick()

    assert fired(manager) == [0]


def test_a_schedule_that_fails_keeps_no_other_from_firing(
    manager: EventsManager, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        manager.register("broken", lambda event, ctx: None, run="now")
    manager.schedule("broken", "0 0 * * *")
    manager.schedule("report-due", "0 0 * * *")

    Upkeep(manager, Hands(MIDNIGHT + 1)).tick()

    assert [row.name for row in rows(manager)] == ["report-due"]
    assert "two jobs of event 'broken' are both called" in caplog.text


def test_an_idle_tick_does_not_touch_the_database(manager: EventsManager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "FIRST_PRUNE", 0.0)
    manager.schedule("report-due", EVERY_MINUTE)
    clock = Hands(MIDNIGHT + 30)
    kept = Upkeep(manager, clock)
    for _ in range(5):
        kept.tick()
    caught: list[str] = []
    monkeypatch.setattr(manager.log, "begin", lambda what: caught.append(what))

    for _ in range(20):
        clock.now += 1
        kept.tick()

    assert caught == []


def test_upkeep_prunes_a_little_each_tick(manager: EventsManager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flask_condor.prune.BATCH", 1)
    monkeypatch.setattr(upkeep, "BATCHES_A_TICK", 2)
    monkeypatch.setattr(upkeep, "FIRST_PRUNE", 0.0)
    for number in range(6):
        manager.emit("report-due", id=f"e{number}", delay=0)
    with manager.log.begin() as connection:
        ended = update(deliveries).where(deliveries.c.event_id != "e5")
        connection.execute(ended.values(state="done", finished_at=time.time() - 31 * 86_400))
    kept = Upkeep(manager)

    counts = []
    for _ in range(6):
        kept.tick()
        counts.append(len(rows(manager)))

    assert counts == [4, 2, 1, 1, 1, 1]
    assert [row.id for row in rows(manager)] == ["e5"]
