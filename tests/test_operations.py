"""What is done to stored deliveries: retry, cancel and replay, once however often they are asked for, and audited."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventLoop
from flask_condor import EventsManager
from flask_condor.context import Delivery
from flask_condor.errors import OperationRefused
from flask_condor.models import audit
from flask_condor.models import deliveries
from flask_condor.models import events
from flask_condor.rows import event_from
from sqlalchemy import insert
from sqlalchemy import select
from sqlalchemy import update
from sqlalchemy.engine import Row


def mail(event: Event[Any], ctx: Context) -> str:
    return f"{event.payload['to']} {event.is_replay}"


def index(event: Event[Any], ctx: Context) -> None:
    pass


@pytest.fixture
def manager(durable_manager: EventsManager) -> EventsManager:
    durable_manager.register("user-registered", mail, run="queued")
    durable_manager.register("user-registered", index, run="queued", priority=3)
    return durable_manager


@pytest.fixture
def event(manager: EventsManager) -> Event[Any]:
    return manager.fire(Event("user-registered", {"to": "Ada"}))


def rows(manager: EventsManager, table: Any = deliveries) -> list[Row[Any]]:
    with manager.log.read() as connection:
        return list(connection.execute(select(table).order_by(table.c.id)))


def states(manager: EventsManager) -> list[str]:
    return [row.state for row in rows(manager)]


def end(manager: EventsManager, state: str, *ids: int, **values: Any) -> None:
    values = {"attempt": 5, "losses": 1, "worker": "w", "error": "it broke", "finished_at": 1.0} | values
    with manager.log.begin() as connection:
        connection.execute(update(deliveries).where(deliveries.c.id.in_(ids)).values(state=state, **values))


def at_once(times: int, call: Callable[[], Any]) -> list[Any]:
    with ThreadPoolExecutor(times) as pool:
        return [future.result(60) for future in [pool.submit(call) for _ in range(times)]]


def test_a_dead_delivery_is_retried_with_all_its_attempts(manager: EventsManager, event: Event[Any]) -> None:
    end(manager, "dead", 1)

    assert manager.retry(1) == 1

    row = rows(manager)[0]
    assert (row.id, row.event_id, row.state, row.attempt, row.losses) == (1, event.id, "pending", 0, 0)
    assert (row.worker, row.finished_at, row.error) == (None, None, "it broke")


def test_a_retried_delivery_is_due_at_once_by_the_clock_of_the_database(
    manager: EventsManager, event: Event[Any]
) -> None:
    due = rows(manager)[0].due_at
    end(manager, "dead", 1, due_at=due + 1e6)

    manager.retry(1)

    assert due <= rows(manager)[0].due_at < due + 1e3


def test_a_cancelled_delivery_is_retried_by_its_number_only(manager: EventsManager, event: Event[Any]) -> None:
    manager.cancel(event.id)
    end(manager, "dead", 2)

    assert manager.retry(event.id) == 1
    assert states(manager) == ["cancelled", "pending"]
    assert manager.retry(1) == 1
    assert states(manager) == ["pending", "pending"]


@pytest.mark.parametrize("state", ["pending", "running", "done"])
def test_what_is_not_dead_is_not_retried(manager: EventsManager, event: Event[Any], state: str) -> None:
    end(manager, state, 1)

    assert manager.retry(1) == 0
    assert states(manager)[0] == state and rows(manager)[0].attempt == 5


def test_20_retries_at_once_make_one_new_run(manager: EventsManager, event: Event[Any]) -> None:
    end(manager, "dead", 1)

    assert sorted(at_once(20, lambda: manager.retry(1))) == [0] * 19 + [1]
    assert [row.action for row in rows(manager, audit)] == ["retry"]


def test_a_retry_with_one_unknown_target_moves_nothing(manager: EventsManager, event: Event[Any]) -> None:
    end(manager, "dead", 1)

    with pytest.raises(OperationRefused, match="delivery 99 is not in the event log"):
        manager.retry(1, 99)

    assert states(manager)[0] == "dead" and rows(manager, audit) == []


def test_a_run_that_was_never_queued_is_not_retried(manager: EventsManager, event: Event[Any]) -> None:
    end(manager, "dead", 1, run="now")

    with pytest.raises(OperationRefused, match="delivery 1 tells of a run='now' job.*Replay its event"):
        manager.retry(1)
    assert manager.retry(event.id) == 0


@pytest.mark.parametrize("target", ["", 0, -1, 1.0, True, None, 2**63])
def test_what_is_no_target_is_refused(manager: EventsManager, target: Any) -> None:
    with pytest.raises(OperationRefused, match="no number of a delivery"):
        manager.retry(target)
    with pytest.raises(OperationRefused, match="no number of a delivery"):
        manager.cancel(target)


def test_a_cancel_takes_what_is_pending_and_tells_how_many(manager: EventsManager, event: Event[Any]) -> None:
    end(manager, "running", 1, finished_at=None)

    assert manager.cancel(event.id) == 1
    assert manager.cancel(event.id) == 0

    assert states(manager) == ["running", "cancelled"]
    assert rows(manager)[1].finished_at > 1e9
    assert [(row.action, row.delivery_id) for row in rows(manager, audit)] == [("cancel", 2)]


def test_one_delivery_is_cancelled_by_its_number(manager: EventsManager, event: Event[Any]) -> None:
    assert manager.cancel(1) == 1
    assert states(manager) == ["cancelled", "pending"]


def test_a_cancel_of_what_is_not_there_is_refused(manager: EventsManager) -> None:
    with pytest.raises(OperationRefused, match="event 'none' is not in the event log"):
        manager.cancel("none")


def test_20_cancels_at_once_cancel_each_delivery_once(manager: EventsManager, event: Event[Any]) -> None:
    assert sum(at_once(20, lambda: manager.cancel(event.id))) == 2
    assert len(rows(manager, audit)) == 2


def test_a_replay_is_a_new_event_linked_to_the_old_one(manager: EventsManager, event: Event[Any]) -> None:
    again = manager.replay(event.id)

    old, new = rows(manager, events)
    assert (old.id, new.id) == (event.id, again.id) and again.id != event.id
    assert (new.name, new.payload, new.replay_of, new.source) == (old.name, old.payload, event.id, "replay")
    assert new.root_id == new.id and old.replay_of is None
    replayed = [(row.job, row.state, row.priority) for row in rows(manager) if row.event_id == again.id]
    assert replayed == [(f"{__name__}:mail", "pending", 0), (f"{__name__}:index", "pending", 3)]


def test_the_jobs_of_a_replay_see_that_it_is_one(manager: EventsManager, event: Event[Any]) -> None:
    manager.replay(event.id)

    stored = event_from(rows(manager, events)[1])
    job = manager.registry.job_named("user-registered", f"{__name__}:mail")
    assert job is not None and stored.is_replay
    assert manager.run_delivery(stored, job, Delivery(3, 1)) == "Ada True"


@pytest.mark.parametrize("named", [mail, "mail", f"{__name__}:mail"])
@pytest.mark.parametrize("is_list", [True, False])
def test_a_replay_of_some_jobs_runs_those(manager: EventsManager, event: Event[Any], named: Any, is_list: bool) -> None:
    again = manager.replay(event.id, jobs=[named] if is_list or named is mail else named)

    assert [row.job for row in rows(manager) if row.event_id == again.id] == [f"{__name__}:mail"]


def test_a_replay_queues_jobs_of_every_run_word_once(manager: EventsManager, event: Event[Any]) -> None:
    def audit_line(event: Event[Any], ctx: Context) -> None:
        raise AssertionError("called at once")

    manager.register("user-registered", audit_line)
    manager.register("user-registered", mail, run="after_response")

    again = manager.replay(event.id)

    replayed = [row.job.rpartition(":")[2].rpartition(".")[2] for row in rows(manager) if row.event_id == again.id]
    assert replayed == ["mail", "index", "audit_line"]


def test_a_replay_of_an_unknown_job_names_those_that_there_are(manager: EventsManager, event: Event[Any]) -> None:
    with pytest.raises(OperationRefused, match=f"'post' is not one job of.*Registered now: {__name__}:mail, "):
        manager.replay(event.id, jobs=["mail", "post"])
    with pytest.raises(OperationRefused, match="no job to replay"):
        manager.replay(event.id, jobs=[])

    assert len(rows(manager, events)) == 1


def test_an_event_whose_payload_is_not_stored_cannot_be_replayed(manager: EventsManager, event: Event[Any]) -> None:
    with manager.log.begin() as connection:
        connection.execute(update(events).values(is_replayable=False, payload='"<User Ada>"'))

    with pytest.raises(OperationRefused, match="cannot be replayed: its payload was no JSON.*<User Ada>"):
        manager.replay(event.id)
    assert len(rows(manager, events)) == 1


@pytest.mark.parametrize(("id", "told"), [("none", "'none' is not in the event log"), ("", "no id"), (5, "no id")])
def test_a_replay_of_what_is_not_there_is_refused(manager: EventsManager, id: Any, told: str) -> None:
    with pytest.raises(OperationRefused, match=told):
        manager.replay(id)


def test_20_replays_at_once_with_one_id_make_one_new_run(manager: EventsManager, event: Event[Any]) -> None:
    manager.unregister("user-registered", index)

    made = at_once(20, lambda: manager.replay(event.id, id="pressed"))

    assert {one.id for one in made} == {"pressed"}
    assert [row.event_id for row in rows(manager)] == [event.id, event.id, "pressed"]
    assert [row.action for row in rows(manager, audit)] == ["replay"]


def test_a_replay_with_the_id_of_another_event_is_refused(manager: EventsManager, event: Event[Any]) -> None:
    with pytest.raises(OperationRefused, match="that of another event"):
        manager.replay(event.id, id=event.id)


def test_a_job_that_replays_its_own_event_without_an_end_is_stopped(durable_manager: EventsManager) -> None:
    def again(event: Event[Any], ctx: Context) -> str:
        return ctx.events.replay(event.id).id

    durable_manager.register("again", again, run="queued")
    durable_manager.fire(Event("again"))
    job = durable_manager.registry.jobs_of("again")[0]

    with pytest.raises(EventLoop, match="longer than 32"):
        for number in range(40):
            stored = event_from(max(rows(durable_manager, events), key=lambda row: len(row.path)))
            durable_manager.run_delivery(stored, job, Delivery(number, 1))

    made = rows(durable_manager, events)
    assert len(made) == 32 and len({row.root_id for row in made}) == 1


def test_the_audit_says_who_did_what_to_what(manager: EventsManager, event: Event[Any]) -> None:
    end(manager, "dead", 1)
    manager.cancel(2, actor="cli")
    manager.retry(1, actor="ada@example.org")
    again = manager.replay(event.id, jobs=[mail])

    told = [(row.actor, row.action, row.event_id, row.delivery_id) for row in rows(manager, audit)]
    assert told == [
        ("cli", "cancel", event.id, 2),
        ("ada@example.org", "retry", event.id, 1),
        ("app", "replay", event.id, None),
    ]
    details = [json.loads(row.detail) for row in rows(manager, audit)]
    assert details[1] == {"was": {"state": "dead", "attempt": 5, "error": "it broke"}}
    assert details[2] == {"replay": again.id, "jobs": [f"{__name__}:mail"]}
    assert all(row.at > 1e9 for row in rows(manager, audit))


def test_an_event_with_the_longest_id_can_be_replayed(manager: EventsManager, event: Event[Any]) -> None:
    with manager.log.begin() as connection:
        row = dict(connection.execute(select(events)).one()._mapping)
        connection.execute(insert(events).values(row | {"id": "x" * 255, "root_id": "x" * 255}))

    assert manager.replay("x" * 255, jobs=["mail"]).is_replay


def test_an_event_emitted_twice_with_one_id_is_queued_once(manager: EventsManager) -> None:
    for _ in range(2):
        manager.emit("user-registered", {"to": "Ada"}, id="one")

    assert [row.event_id for row in rows(manager)] == ["one", "one"] and len(rows(manager, events)) == 1
