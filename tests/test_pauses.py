"""Pauses: no worker takes up what is paused, what runs is left alone, and every place that counts says so."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor.claims import WINDOW
from flask_condor.claims import Wish
from flask_condor.claims import claim
from flask_condor.due import NOW
from flask_condor.lanes import find_lanes
from flask_condor.models import audit
from flask_condor.pauses import pause
from flask_condor.pauses import pauses_of
from flask_condor.pauses import resume
from flask_condor.plan import Plan
from flask_condor.presence import waiting_unseen
from flask_condor.worker import Worker
from flask_condor.writing import write_event
from sqlalchemy import select
from sqlalchemy.engine import Row

from tests.commands import printed
from tests.commands import printed_json
from tests.commands import refusal
from tests.commands import run
from tests.databases import queued
from tests.workers import Bench
from tests.workers import bench as bench

SHARED: list[str] = []
PATH = f"{__name__}:shared"


def shared(event: Event[Any], ctx: Context) -> None:
    SHARED.append(event.name)


def mail(event: Event[Any], ctx: Context) -> None:
    SHARED.append(event.name)


@pytest.fixture
def manager(durable_manager: EventsManager) -> EventsManager:
    SHARED.clear()
    durable_manager.register("order-paid", shared, run="queued")
    durable_manager.register("order-sent", shared, run="queued")
    durable_manager.register("newsletter", mail, run="queued", queue="mail", priority=5)
    return durable_manager


def work(manager: EventsManager) -> list[str]:
    """Run what a worker takes up now; return the events of the jobs that ran."""
    SHARED.clear()
    once = Worker(manager, Plan(threads=1, once=True, replaceable=False))
    once.open()
    once.run()
    return sorted(SHARED)


def stop(manager: EventsManager, kind: Any, name: str) -> bool:
    with manager.log.begin() as connection:
        return pause(connection, manager.registry, kind, name, "ada")


def go_on(manager: EventsManager, kind: Any, name: str) -> bool:
    with manager.log.begin() as connection:
        return resume(connection, kind, name, "ada")


def job_of(manager: EventsManager, name: str) -> Any:
    return manager.registry.job_named(name, PATH)


def audited(manager: EventsManager) -> list[Row[Any]]:
    with manager.log.read() as connection:
        return list(connection.execute(select(audit).order_by(audit.c.id)))


def fire_all(manager: EventsManager) -> None:
    for name in ("newsletter", "order-paid", "order-sent"):
        manager.fire(Event(name))


def test_no_worker_takes_up_a_paused_queue_until_it_is_resumed(manager: EventsManager) -> None:
    stop(manager, "queue", "mail")
    fire_all(manager)

    assert work(manager) == ["order-paid", "order-sent"] and queued(manager)[0].state == "pending"

    go_on(manager, "queue", "mail")
    assert work(manager) == ["newsletter"]


def test_of_a_job_that_two_events_share_only_the_paused_one_waits(manager: EventsManager) -> None:
    stop(manager, "event", "order-paid")
    fire_all(manager)
    due_at = queued(manager)[1].due_at

    assert work(manager) == ["newsletter", "order-sent"]
    waiting = queued(manager)[1]
    assert (waiting.state, waiting.attempt, waiting.due_at) == ("pending", 0, due_at)

    go_on(manager, "event", "order-paid")
    assert work(manager) == ["order-paid"]


def test_many_that_are_paused_are_looked_at_once_and_keep_none_behind_them_waiting(manager: EventsManager) -> None:
    with manager.log.begin() as connection:
        for n in range(2 * WINDOW + 10):
            write_event(connection, Event("order-paid", id=f"e{n}"), "null", [job_of(manager, "order-paid")], NOW)
    stop(manager, "event", "order-paid")
    manager.fire(Event("order-sent"))

    assert work(manager) == ["order-sent"] and work(manager) == []
    with manager.log.begin() as connection:
        lanes = find_lanes(connection)
        wish = Wish(worker="w", count=4, lanes=lanes, pairs=[("order-paid", PATH)], is_idle=True)
        catches = [claim(connection, wish) for _ in range(4)]
    assert [(catch.claims, catch.is_all) for catch in catches] == [([], False)] * 2 + [([], True)] * 2

    go_on(manager, "event", "order-paid")
    assert len(work(manager)) == 2 * WINDOW + 10


def test_a_pause_and_its_end_are_audited_once(manager: EventsManager) -> None:
    assert [stop(manager, "queue", "mail"), stop(manager, "queue", "mail")] == [True, False]
    assert [go_on(manager, "queue", "mail"), go_on(manager, "queue", "mail")] == [True, False]

    told = [(row.actor, row.action, row.event_id, json.loads(row.detail)) for row in audited(manager)]
    of = {"kind": "queue", "name": "mail"}
    assert told == [("ada", "pause", None, of), ("ada", "resume", None, of)]


def test_a_pause_is_of_one_bus(manager: EventsManager) -> None:
    stop(manager, "queue", "mail")

    with manager.log.begin() as connection:
        other = connection.execution_options(condor_bus="other")
        assert pauses_of(other) == [] and find_lanes(other).paused == []


def test_commands_pause_show_and_resume(manager: EventsManager) -> None:
    assert printed(manager, "pause") == "Nothing is paused.\n"
    assert printed_json(manager, "pause", "--queue", "mail") == [{"kind": "queue", "paused": "mail"}]
    assert printed(manager, "pause", "--event", "order-paid").splitlines()[-1].split() == ["event", "order-paid"]
    assert printed(manager, "pause", "--queue", "mail") == "The queue is paused already.\n"

    shown = [(one["kind"], one["name"], one["by"]) for one in printed_json(manager, "pause")]
    assert shown == [("event", "order-paid", "cli"), ("queue", "mail", "cli")]

    assert printed_json(manager, "resume", "--queue", "mail") == [{"kind": "queue", "resumed": "mail"}]
    assert printed(manager, "resume", "--queue", "mail").startswith("The queue is not paused")


def test_what_cannot_be_paused_is_told_with_what_can(manager: EventsManager) -> None:
    assert "Registered for: default, mail." in refusal(manager, "pause", "--queue", "mial")
    assert "event order-payd is not registered" in refusal(manager, "pause", "--event", "order-payd")
    assert "one of them" in refusal(manager, "pause", "--event", "order-paid", "--queue", "mail")
    assert "one of them" in refusal(manager, "resume")
    assert printed(manager, "pause") == "Nothing is paused.\n"


def test_what_is_paused_is_told_by_stats_and_doctor_and_waits_for_no_worker(manager: EventsManager) -> None:
    fire_all(manager)
    for kind, name in (("queue", "mail"), ("event", "order-paid")):
        stop(manager, kind, name)

    told = run(manager, "stats")
    assert "Paused: queue mail, since " in told.stderr and "Paused: event order-paid, since " in told.stderr
    remarks = {one["found"] for one in printed_json(manager, "doctor") if one["subject"] == "paused"}
    assert any("`flask events resume --event order-paid`" in remark for remark in remarks) and len(remarks) == 2
    with manager.log.read() as connection:
        assert waiting_unseen(connection) == 1


def test_a_running_worker_heeds_a_pause_and_its_end(bench: Bench) -> None:
    manager = bench.manager
    bench.start()
    bench.fire("ok", 1)
    bench.wait_for(lambda: bench.states() == ["done"])

    with manager.log.begin() as connection, manager.app.app_context():
        pause(connection, manager.registry, "event", "ok", "ada")
    time.sleep(1.5)
    bench.fire("ok", 2)
    bench.fire("urgent", 3)
    bench.wait_for(lambda: bench.states() == ["done", "pending", "done"])

    with manager.log.begin() as connection:
        resume(connection, "event", "ok", "ada")
    bench.wait_for(lambda: bench.states() == ["done"] * 3)
