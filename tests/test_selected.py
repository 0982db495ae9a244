"""Operations on rows that were selected by hand: each done as if it were the only one, and none left silently."""

from __future__ import annotations

from typing import Any

import pytest
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor import selected
from flask_condor.bulk_operations import Chosen
from flask_condor.bulk_operations import count
from flask_condor.bulk_operations import title_of
from flask_condor.errors import OperationRefused
from flask_condor.selected import ToCancel
from flask_condor.selected import ToForget
from flask_condor.selected import ToReplay
from flask_condor.selected import ToRetry

from tests.dashboard.test_events import store
from tests.databases import queued
from tests.test_bulk_operations import carry_out
from tests.test_bulk_operations import end
from tests.test_bulk_operations import found
from tests.test_bulk_operations import replayed
from tests.test_bulk_operations import started


def mail(event: Event[Any], ctx: Context) -> None:
    pass


@pytest.fixture
def manager(durable_manager: EventsManager, monkeypatch: pytest.MonkeyPatch) -> EventsManager:
    durable_manager.register("paid", mail, run="queued")
    durable_manager.register("sent", mail, run="queued")
    monkeypatch.setattr(selected, "BATCH", 2)
    return durable_manager


def fire(manager: EventsManager, *names: str) -> list[str]:
    return [manager.fire(Event(name)).id for name in names]


def states(manager: EventsManager) -> list[str]:
    return [row.state for row in queued(manager)]


def counted(manager: EventsManager, chosen: Chosen) -> int:
    with manager.log.read() as connection:
        return count(connection, manager.registry, chosen).count


def told(manager: EventsManager) -> tuple[str, str, int, int, int]:
    operation = found(manager)
    return operation.kind, operation.state, operation.total, operation.done, operation.left_out


def test_selected_runs_are_retried_and_no_others(manager: EventsManager) -> None:
    fire(manager, *["paid"] * 5)
    end(manager)
    chosen = ToRetry(ids=(1, 3, 4))

    started(manager, chosen)
    carry_out(manager)

    assert states(manager) == ["pending", "dead", "pending", "pending", "dead"]
    assert told(manager) == ("retry", "done", 3, 3, 0)
    assert title_of(chosen) == "Retry 3 selected"


def test_a_cancelled_run_is_retried_that_was_selected_itself_but_not_by_its_event(manager: EventsManager) -> None:
    first, second = fire(manager, "paid", "paid")
    end(manager, "cancelled")

    assert counted(manager, ToRetry(ids=(first, second))) == 0
    assert counted(manager, ToRetry(ids=(1, second))) == 1


def test_the_dead_runs_of_selected_events_are_retried(manager: EventsManager) -> None:
    first, _, third = fire(manager, "paid", "paid", "sent")
    end(manager)

    started(manager, ToRetry(ids=(first, third)))
    carry_out(manager)

    assert states(manager) == ["pending", "dead", "pending"]


def test_selected_events_are_replayed_whatever_their_names_each_once(manager: EventsManager) -> None:
    ids = fire(manager, "paid", "sent", "sent")
    store(manager, {"id": "old", "name": "nobody registers"})

    started(manager, ToReplay(ids=(ids[0], "old", ids[2])))
    carry_out(manager)

    assert replayed(manager) == [ids[0], ids[2]]
    assert told(manager) == ("replay", "done", 3, 2, 1)
    assert "no job to replay" in str(found(manager).error)


def test_selected_runs_and_those_of_selected_events_are_cancelled(manager: EventsManager) -> None:
    first, *_ = fire(manager, "paid", "paid", "paid")

    started(manager, ToCancel(ids=(first, 3)))
    carry_out(manager)

    assert states(manager) == ["cancelled", "pending", "cancelled"]
    assert told(manager) == ("cancel", "done", 2, 2, 0)


def test_selected_runs_that_have_ended_are_deleted_and_the_others_are_left_out_with_the_reason(
    manager: EventsManager,
) -> None:
    fire(manager, "paid", "paid")
    end(manager)
    fire(manager, "paid")

    started(manager, ToForget(ids=(1, 3, 99)))
    carry_out(manager)

    assert [row.id for row in queued(manager)] == [2, 3]
    assert told(manager) == ("purge", "done", 1, 1, 2)
    assert "delivery 3 is pending" in str(found(manager).error) and "99" in str(found(manager).error)


@pytest.mark.parametrize("chosen", [ToRetry(ids=(1,)), ToForget(ids=(1,)), ToCancel(ids=("x",)), ToReplay(ids=("x",))])
def test_nothing_is_begun_for_rows_that_are_not_there_any_more(manager: EventsManager, chosen: Chosen) -> None:
    with pytest.raises(OperationRefused, match="nothing is chosen"):
        started(manager, chosen)
