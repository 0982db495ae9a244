"""The plans: pages of what waits or is dead are read from an index, however much else is stored."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from flask_condor import EventsManager
from flask_condor import counting
from flask_condor.bulk import RetryDead
from flask_condor.dashboard.reading.runs import Chosen
from flask_condor.dashboard.reading.runs import runs
from sqlalchemy.engine import Connection

from tests.dashboard.test_overview import write_delivery


def statements_of(connection: Connection, read: Callable[[], object]) -> list[str]:
    """Return what *read* asks of SQLite."""
    asked: list[str] = []
    raw: Any = connection.connection.dbapi_connection
    raw.set_trace_callback(asked.append)
    read()
    raw.set_trace_callback(None)
    return asked


def plans_of(connection: Connection, read: Callable[[], object]) -> list[str]:
    """Return the steps by which SQLite finds what *read* reads of the deliveries."""
    asked = statements_of(connection, read)
    found = [row[-1] for one in asked for row in connection.exec_driver_sql("EXPLAIN QUERY PLAN " + one)]
    return [step for step in found if "condor_deliveries" in step or "TEMP" in step]


def columns_read(connection: Connection, statement: str) -> int:
    """Return how many columns a statement takes from the rows of the deliveries, not from an index of theirs."""
    root = connection.exec_driver_sql("SELECT rootpage FROM sqlite_master WHERE name = 'condor_deliveries'").scalar()
    steps = connection.exec_driver_sql("EXPLAIN " + statement).all()
    cursors = {step.p1 for step in steps if step.opcode == "OpenRead" and step.p2 == root}
    return sum(step.opcode == "Column" and step.p1 in cursors for step in steps)


def test_failed_runs_that_wait_are_read_from_their_own_index(app_with_a_file: EventsManager) -> None:
    for number in range(3):
        write_delivery(app_with_a_file, f"e{number}", attempt=number)

    with app_with_a_file.log.read() as connection:
        chosen = Chosen(now=time.time(), state="retrying")
        steps = plans_of(connection, lambda: runs(connection, chosen, 50))
        found = runs(connection, chosen, 50).rows

    assert [one.event_id for one in found] == ["e2", "e1"]
    assert any("condor_tried" in step for step in steps)
    assert not [step for step in steps if "SCAN" in step or "TEMP" in step or "condor_due" in step]


@pytest.mark.parametrize(("failure", "index"), [(None, "condor_dead "), (7, "condor_dead_of ")])
def test_what_is_dead_is_counted_in_an_index_alone(
    app_with_a_file: EventsManager, failure: int | None, index: str
) -> None:
    with app_with_a_file.log.begin() as connection:
        work = RetryDead(None, None, "ada", failure=failure)
        steps = plans_of(connection, lambda: work.count_some(connection))
        counting_them = statements_of(connection, lambda: work.count_some(connection))[-1]
        read = columns_read(connection, counting_them)

    assert any(index in step for step in steps)
    assert not [step for step in steps if "TEMP" in step]
    assert read == 0


def test_those_of_one_failure_are_counted_beyond_the_many_of_others(
    durable_manager: EventsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "LOOKED_AT", 2)
    for number in range(6):
        write_delivery(durable_manager, f"e{number}", state="dead", failure_id=7 if number == 5 else 1)
    write_delivery(durable_manager, "at once", state="dead", failure_id=7, run="now")

    with durable_manager.log.read() as connection:
        counted = [str(RetryDead(None, None, "ada", failure=one).count_some(connection)) for one in (7, 1)]

    assert counted == ["1", "3+"]
