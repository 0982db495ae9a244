"""Failures by what is alike: which there are, what became of their runs, and what a person does about them."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from flask_condor import EventsManager
from flask_condor.errors import OperationRefused
from flask_condor.failure_groups import Became
from flask_condor.failure_groups import Wanted
from flask_condor.failure_groups import attempts_in
from flask_condor.failure_groups import became_of
from flask_condor.failure_groups import events_of
from flask_condor.failure_groups import group_of
from flask_condor.failure_groups import groups
from flask_condor.failure_groups import runs_over_time
from flask_condor.failures import Failed
from flask_condor.failures import add_failures
from flask_condor.models import attempts
from flask_condor.models import audit
from flask_condor.models import deliveries
from flask_condor.models import events
from flask_condor.muting import LONGEST_NOTE
from flask_condor.muting import mute
from flask_condor.storable import Failure
from flask_condor.timeline import attempts_of
from sqlalchemy import insert
from sqlalchemy import select
from sqlalchemy import update

from tests.commands import printed
from tests.commands import printed_json
from tests.commands import refusal
from tests.commands import run

NOON = 1_800_000_000.0 // 3600 * 3600


@pytest.fixture
def manager(durable_manager: EventsManager) -> EventsManager:
    return durable_manager


def fail(
    manager: EventsManager,
    at: float = NOON,
    *,
    job: str = "jobs.mail:mail",
    name: str = "signed-up",
    error: str = "ValueError",
    state: str = "dead",
    **values: Any,
) -> tuple[int, int]:
    """Write an event whose delivery has failed so, and return the numbers of the delivery and of the failure."""
    with manager.log.begin() as connection:
        id = f"{name}-{time.perf_counter_ns()}"
        event = {"id": id, "name": name, "payload": "1", "is_replayable": True, "is_orphan": False, "source": "app"}
        event |= {"fired_at": at, "root_id": id, "path": "[]", "bus": "default"}
        connection.execute(insert(events).values(event))
        row = {"event_id": id, "job": job, "run": "queued", "queue": "default", "priority": 0, "state": state}
        row |= {"due_at": at, "attempt": 1, "losses": 0, "finished_at": at, "bus": "default"} | values
        delivery = connection.execute(insert(deliveries).values(row).returning(deliveries.c.id)).scalar_one()
        failure = Failure(error, "jobs.mail:send", f"{error}: no\nTraceback")
        failed = Failed(delivery, 1, name, job, "dead", "w", at - 1, at, failure)
        [group] = add_failures(connection, [failed])
        connection.execute(update(deliveries).where(deliveries.c.id == delivery).values(failure_id=group))
    return delivery, group


def found(manager: EventsManager, most: int = 50, **options: Any) -> list[tuple[str, str, int]]:
    order, before = options.pop("order", "last"), options.pop("before", None)
    with manager.log.read() as connection:
        listed = groups(connection, Wanted(**options), most, order=order, before=before)
    return [(one.job.rpartition(":")[2], one.error_type, one.runs) for one in listed]


def test_failures_are_listed_by_when_they_were_seen_or_how_often(manager: EventsManager) -> None:
    for at, error in ((10, "A"), (20, "B"), (30, "A"), (40, "C"), (50, "A"), (60, "B")):
        fail(manager, NOON + at, error=error)

    assert [one[1:] for one in found(manager)] == [("B", 2), ("A", 3), ("C", 1)]
    assert [one[1] for one in found(manager, order="first")] == ["C", "B", "A"]
    assert [one[1] for one in found(manager, order="runs")] == ["A", "B", "C"]


@pytest.mark.parametrize("order", ["last", "first", "runs"])
def test_pages_follow_one_another_without_a_gap(manager: EventsManager, order: Any) -> None:
    for number in range(7):
        fail(manager, NOON + number // 2, error=f"E{number}")
    listed: list[str] = []
    before = None

    with manager.log.read() as connection:
        for _ in range(4):
            page = groups(connection, Wanted(), 2, order=order, before=before)
            listed += [one.error_type for one in page]
            last = page[-1]
            before = {"last": last.last_seen, "first": last.first_seen, "runs": last.runs}[order], last.id

        assert groups(connection, Wanted(), 2, order=order, before=before) == []
    assert listed == [f"E{number}" for number in (6, 5, 4, 3, 2, 1, 0)]


def test_failures_are_chosen_by_time_job_event_class_and_whether_they_are_muted(manager: EventsManager) -> None:
    _, first = fail(manager, NOON, error="smtplib.SMTPError")
    fail(manager, NOON + 7200, job="jobs.index:index", name="moved")
    with manager.log.begin() as connection:
        mute(connection, first, "known", "me")

    mail, index = ("mail", "smtplib.SMTPError", 1), ("index", "ValueError", 1)
    assert found(manager, since=NOON + 1) == [index] and found(manager, until=NOON + 1) == [mail]
    assert found(manager, job="mail") == [mail] == found(manager, job="jobs.mail:mail")
    assert found(manager, job="ail") == [] == found(manager, error_type="Error")
    assert found(manager, error_type="SMTPError") == [mail] == found(manager, error_type="smtplib.SMTPError")
    assert found(manager, name="moved") == [index] and found(manager, name="mov") == []
    assert found(manager, name="moved", until=NOON + 3600) == []
    assert found(manager, is_muted=True) == [mail] and found(manager, is_muted=False) == [index]


def test_the_runs_of_a_failure_are_told_by_hour_and_by_event(manager: EventsManager) -> None:
    for at, name in ((0, "a"), (10, "b"), (3600, "b"), (3 * 3600, "a"), (30 * 3600, "c")):
        _, id = fail(manager, NOON + at, name=name)

    with manager.log.read() as connection:
        hours = runs_over_time(connection, [id], NOON, NOON + 10 * 3600)
        days = runs_over_time(connection, [id], NOON, width=24 * 3600)
        names = events_of(connection, [id], NOON, NOON + 10 * 3600)

    assert hours == {id: {int(NOON): 2, int(NOON) + 3600: 1, int(NOON) + 3 * 3600: 1}}
    assert sum(days[id].values()) == 5 and all(start % 86_400 == 0 for start in days[id])
    assert names == {id: {"a": 2, "b": 2}}


def test_what_became_of_a_failure_is_told_of_its_latest_attempts(manager: EventsManager) -> None:
    for state in ("done", "dead", "dead", "pending", "done"):
        _, id = fail(manager, state=state)
    fail(manager, run="now")

    with manager.log.read() as connection:
        assert became_of(connection, [id]) == {id: Became(dead=2, looked_at=6, recovered=2)}
        assert became_of(connection, [id], latest=2, many=1) == {id: Became(dead=1, looked_at=2, recovered=1)}
        assert became_of(connection, [id + 1]) == {}


def test_the_attempts_of_a_failure_come_newest_first_in_pages(manager: EventsManager) -> None:
    numbers = [fail(manager, NOON + at)[0] for at in range(3)]
    _, other = fail(manager, error="Other")

    with manager.log.read() as connection:
        [group] = groups(connection, Wanted(error_type="ValueError"), 5)
        newest = attempts_in(connection, group.id, 2)
        rest = attempts_in(connection, group.id, 2, before=(newest[-1].ended_at, newest[-1].id))
        assert group_of(connection, group.id) == group and group_of(connection, 999) is None

    assert [one.delivery for one in (*newest, *rest)] == numbers[::-1]
    assert (newest[0].name, newest[0].run.state, newest[0].outcome) == ("signed-up", "dead", "dead")
    assert newest[0].error == "ValueError: no\nTraceback" and other != group.id


def test_a_muted_failure_is_audited_and_left_out_by_the_command(manager: EventsManager) -> None:
    _, id = fail(manager)

    assert printed_json(manager, "mute", id, "--note", "ticket 12") == [{"muted": id}]
    assert printed(manager, "mute", id, "--note", "ticket 12") == "Nothing to mute: it is so already.\n"
    assert printed_json(manager, "failures") == []
    [told] = printed_json(manager, "failures", "--muted")
    assert (told["failure"], told["muted"], told["note"], told["events"]) == (id, True, "ticket 12", {"signed-up": 1})
    assert printed_json(manager, "unmute", id) == [{"unmuted": id}]
    assert printed(manager, "unmute", id) == "Nothing to unmute: it is not muted.\n"
    assert [told["failure"] for told in printed_json(manager, "failures")] == [id]
    with manager.log.read() as connection:
        noted = connection.execute(select(audit).order_by(audit.c.id)).all()
    assert [(one.action, one.actor, one.event_id) for one in noted] == [("mute", "cli", None), ("unmute", "cli", None)]
    assert json.loads(noted[0].detail) == {
        "failure": id,
        "job": "jobs.mail:mail",
        "error": "ValueError",
        "why": "ticket 12",
    }


def test_the_command_shows_failures_in_columns(manager: EventsManager) -> None:
    fail(manager, error="smtplib.SMTPError")

    headers, _, line = printed(manager, "failures").splitlines()

    assert headers.split() == "Failure Last seen (UTC) Runs Dead Recovered Job Error Frame Muted".split()
    assert line.split()[-9:] == ["1", "1", "0", "of", "1", "mail", "SMTPError", "send", "-"]


def test_a_failure_that_is_not_there_or_a_note_that_is_too_long_is_refused(manager: EventsManager) -> None:
    _, id = fail(manager)

    assert "failure 999 is not in the event log" in refusal(manager, "mute", 999)
    assert "not in the event log" in refusal(manager, "unmute", 999)
    assert "allowed are 500: shorten it" in refusal(manager, "mute", id, "--note", "x" * (LONGEST_NOTE + 1))
    assert "x" in refusal(manager, "mute", "x") and "--failure goes with" in refusal(manager, "retry", "--failure", id)
    with pytest.raises(OperationRefused), manager.log.begin() as connection:
        mute(connection, 2**62, "", "me")


def test_all_that_is_dead_by_one_failure_is_retried(manager: EventsManager) -> None:
    (_, first), (_, second) = fail(manager), fail(manager, error="Other")
    fail(manager)

    assert printed_json(manager, "retry", "--all-dead", "--failure", first, "--yes") == [{"count": 2}]
    assert printed_json(manager, "retry", "--all-dead", "--failure", 999, "--yes") == [{"count": 0}]

    with manager.log.read() as connection:
        dead = connection.scalars(select(deliveries.c.failure_id).where(deliveries.c.state == "dead")).all()
        assert became_of(connection, [first])[first].dead == 0
    assert dead == [second]


def test_what_waits_for_its_time_is_run_now(manager: EventsManager) -> None:
    later, _ = fail(manager, state="pending", due_at=time.time() + 3600, finished_at=None)
    due, _ = fail(manager, state="pending", due_at=1.0, finished_at=None)

    assert printed_json(manager, "run-now", later, due) == [{"due": later}]
    assert printed(manager, "run-now", later) == "Nothing to run: none of them waits for its time.\n"

    with manager.log.read() as connection:
        rows = connection.execute(select(deliveries).order_by(deliveries.c.id)).all()
        [noted] = connection.execute(select(audit)).all()
    assert rows[0].due_at <= time.time() + 1 and rows[1].due_at == 1.0
    assert (noted.action, noted.delivery_id) == ("run-now", later)
    assert "delivery 999 is not in the event log" in refusal(manager, "run-now", 999)


def test_a_delivery_that_has_ended_is_forgotten_with_its_attempts_and_others_are_not(manager: EventsManager) -> None:
    dead, _ = fail(manager)
    waiting, _ = fail(manager, state="pending", finished_at=None)

    assert f"delivery {waiting} is pending" in refusal(manager, "forget", dead, waiting, "--yes")
    assert run(manager, "forget", dead, typed="n\n").exit_code == 1
    assert printed_json(manager, "forget", dead, "--yes") == [{"forgotten": dead}]
    assert f"delivery {dead} is not in the event log" in refusal(manager, "forget", dead, "--yes")

    with manager.log.read() as connection:
        assert connection.scalars(select(deliveries.c.id)).all() == [waiting]
        assert connection.scalars(select(attempts.c.delivery_id)).all() == [waiting]
        assert len(connection.execute(select(events)).all()) == 2
        [noted] = connection.execute(select(audit)).all()
    assert (noted.action, noted.delivery_id, json.loads(noted.detail)["was"]["state"]) == ("forget", dead, "dead")


def test_the_timeline_of_a_delivery_has_its_attempts_and_the_waits_between_them(manager: EventsManager) -> None:
    started: dict[str, Any] = {"started_at": NOON + 30, "finished_at": NOON + 32, "attempt": 2, "worker": "w2"}
    done, _ = fail(manager, state="done", **started)
    waiting, _ = fail(manager, state="pending", finished_at=None, due_at=NOON + 60)

    with manager.log.read() as connection:
        steps = attempts_of(connection, [done, waiting, 999])
        [short, *_] = attempts_of(connection, [done], shown=5)[done]

    assert list(steps) == [done, waiting]
    assert [(one.number, one.outcome, one.seconds, one.wait) for one in steps[done]] == [
        (1, "dead", 1.0, 30.0),
        (2, "done", 2.0, None),
    ]
    assert [(one.outcome, one.next_at, one.wait) for one in steps[waiting]] == [("dead", NOON + 60, 60.0)]
    assert (short.error, steps[done][1].worker) == ("Value", "w2")


def test_what_is_on_another_bus_is_not_seen(manager: EventsManager) -> None:
    delivery, id = fail(manager)
    with manager.log.begin() as connection:
        for table in (deliveries, events):
            connection.execute(update(table).values(bus="other"))
        connection.exec_driver_sql("UPDATE condor_failures SET bus = 'other'")

    with manager.log.read() as connection:
        assert groups(connection, Wanted(), 5) == [] and group_of(connection, id) is None
        assert attempts_in(connection, id, 5) == [] and became_of(connection, [id]) == {}
        assert attempts_of(connection, [delivery]) == {}
    assert "is not in the event log" in refusal(manager, "mute", id)


def test_an_event_can_be_named_in_the_log_of_failures(manager: EventsManager) -> None:
    fail(manager, time.time(), name="moved")

    assert [one["error"] for one in printed_json(manager, "failures", "--event", "moved", "--since", "1h")] == [
        "ValueError"
    ]
    assert printed_json(manager, "failures", "--event", "other") == []
