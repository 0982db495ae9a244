"""The retention: what ended long ago goes away in small batches, what has not ended never does."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from flask import Flask
from flask_condor import Condor
from flask_condor import EventsManager
from flask_condor import prune
from flask_condor.errors import ConfigInvalid
from flask_condor.models import deliveries
from flask_condor.models import events
from flask_condor.models import rates
from flask_condor.prune import DAY
from flask_condor.prune import Prune
from flask_condor.prune import Retention
from flask_condor.rates import HOURS_KEPT
from flask_condor.rates import prune_rates
from sqlalchemy import func
from sqlalchemy import insert
from sqlalchemy import select

NOW = 2_000_000_000.0
PRUNE = """
    import sys
    from flask import Flask
    from flask_condor import Condor, prune

    app = Flask("app")
    app.config["CONDOR_DATABASE_URL"] = sys.argv[1]
    Condor(app)
    prune.BATCH = 7
    one = prune.Prune(prune.Retention.of(app.extensions["condor"].config, 2e9))
    print("started", flush=True)
    while not one.is_over:
        with app.extensions["condor"].log.begin() as connection:
            one.batch(connection)
"""


def store(manager: EventsManager, *made: tuple[str, float, Sequence[tuple[str, float | None]]]) -> None:
    """Write events: (id, age in days, [(state of a delivery, days since it ended, or None)])."""
    with manager.log.begin() as connection:
        for id, age, runs in made:
            connection.execute(insert(events).values(event_row(id, NOW - age * DAY, is_orphan=not runs)))
            for state, ended in runs:
                connection.execute(insert(deliveries).values(delivery_row(id, state, ended)))


def event_row(id: str, fired_at: float, *, is_orphan: bool) -> dict[str, Any]:
    known = {"id": id, "name": "e", "payload": "1", "is_replayable": True, "is_orphan": is_orphan, "source": "app"}
    return known | {"fired_at": fired_at, "root_id": id, "path": "[]", "bus": "default"}


def delivery_row(event_id: str, state: str, ended: float | None) -> dict[str, Any]:
    known = {"event_id": event_id, "job": "m:j", "run": "queued", "queue": "default", "priority": 0, "state": state}
    finished = None if ended is None else NOW - ended * DAY
    return known | {"due_at": 0.0, "attempt": 1, "losses": 0, "finished_at": finished, "bus": "default"}


def prune_all(manager: EventsManager, retention: Retention | None = None) -> list[int]:
    one, counts = Prune(retention or Retention.of(manager.config, NOW)), []
    while not one.is_over:
        with manager.log.begin() as connection:
            counts.append(one.batch(connection))
    return counts


def left(manager: EventsManager) -> dict[str, list[str]]:
    with manager.log.read() as connection:
        kept: dict[str, list[str]] = {id: [] for id in connection.scalars(select(events.c.id))}
        for row in connection.execute(select(deliveries).order_by(deliveries.c.id)):
            kept[row.event_id].append(row.state)
    return kept


def test_what_ended_longer_ago_than_its_retention_goes_and_nothing_else(durable_manager: EventsManager) -> None:
    store(
        durable_manager,
        ("old-done", 31, [("done", 31)]),
        ("old-cancelled", 31, [("cancelled", 31)]),
        ("old-dead", 91, [("dead", 91)]),
        ("new-done", 99, [("done", 29)]),
        ("new-dead", 99, [("dead", 89)]),
        ("pending", 999, [("pending", None)]),
        ("running", 999, [("running", None)]),
        ("old-orphan", 31, []),
        ("new-orphan", 29, []),
    )

    prune_all(durable_manager)

    assert set(left(durable_manager)) == {"new-done", "new-dead", "pending", "running", "new-orphan"}


def test_the_number_of_a_delivery_that_was_pruned_is_not_given_again(durable_manager: EventsManager) -> None:
    store(durable_manager, ("old", 31, [("done", 31)]))
    newest = select(func.max(deliveries.c.id))
    with durable_manager.log.read() as connection:
        before = connection.scalar(newest)
    prune_all(durable_manager)

    store(durable_manager, ("new", 1, [("done", 1)]))

    with durable_manager.log.read() as connection:
        assert (connection.scalar(newest) or 0) > (before or 0)


def test_an_event_stays_while_a_delivery_of_it_does(durable_manager: EventsManager) -> None:
    store(durable_manager, ("a", 99, [("done", 99), ("dead", 40), ("pending", None)]), ("b", 99, [("done", 99)] * 3))

    prune_all(durable_manager)

    assert left(durable_manager) == {"a": ["dead", "pending"]}


def test_all_that_is_old_of_an_event_goes_in_one_transaction(
    durable_manager: EventsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prune, "BATCH", 2)
    store(durable_manager, *[(f"e{i}", 99, [("done", 99 - i), ("done", 98 - i), ("dead", 97 - i)]) for i in range(3)])

    one = Prune(Retention.of(durable_manager.config, NOW))
    while not one.is_over:
        with durable_manager.log.begin() as connection:
            one.batch(connection)
        assert {tuple(states) for states in left(durable_manager).values()} <= {("done", "done", "dead")}
    assert left(durable_manager) == {}


def test_a_batch_looks_at_100_rows_at_most(durable_manager: EventsManager) -> None:
    store(durable_manager, *[(f"e{i}", 99, [("done", 99)]) for i in range(120)])
    store(durable_manager, *[(f"o{i}", 99, []) for i in range(101)])

    assert prune_all(durable_manager) == [100, 20, 0, 100, 1, 0]
    assert left(durable_manager) == {}


def test_what_is_to_go_can_be_counted(durable_manager: EventsManager) -> None:
    store(durable_manager, ("a", 99, [("done", 99), ("dead", 40)]), ("b", 99, []), ("c", 99, [("pending", None)]))

    with durable_manager.log.read() as connection:
        assert Prune(Retention.of(durable_manager.config, NOW)).count(connection) == 2
    assert sum(prune_all(durable_manager)) == 2


def test_none_keeps_for_ever(durable_manager: EventsManager) -> None:
    store(durable_manager, ("done", 9999, [("done", 9999)]), ("dead", 9999, [("dead", 9999)]), ("orphan", 9999, []))

    prune_all(durable_manager, Retention(None, None))
    assert len(left(durable_manager)) == 3
    prune_all(durable_manager, Retention(None, NOW))
    assert set(left(durable_manager)) == {"done", "orphan"}


def test_a_delivery_retried_while_its_age_was_looked_at_stays(durable_manager: EventsManager) -> None:
    store(durable_manager, ("a", 99, [("dead", 99)]), ("b", 99, [("dead", 99)]))

    assert durable_manager.retry("a") == 1
    prune_all(durable_manager)

    assert left(durable_manager) == {"a": ["pending"]}


def test_a_prune_killed_in_the_middle_leaves_no_half_deleted_event(
    durable_manager: EventsManager, database_url: str
) -> None:
    whole = ["done", "dead", "cancelled"]
    store(durable_manager, *[(f"e{i:04}", 99, [(state, 99.0) for state in whole]) for i in range(600)])
    command = [sys.executable, "-c", textwrap.dedent(PRUNE), database_url]
    hits = 0

    for _ in range(5):
        before = len(left(durable_manager))
        with subprocess.Popen(command, stdout=-1, text=True) as process:
            assert process.stdout is not None and process.stdout.readline() == "started\n"
            wait_until_fewer(durable_manager, before)
            process.send_signal(signal.SIGKILL)
        hits += process.returncode == -signal.SIGKILL
        assert all(states == whole for states in left(durable_manager).values())

    assert hits >= 3 and 0 < len(left(durable_manager)) < 600


def wait_until_fewer(manager: EventsManager, before: int) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with manager.log.read() as connection:
            if (connection.scalar(select(func.count()).select_from(events)) or 0) < before:
                return


def test_old_rates_are_forgotten(durable_manager: EventsManager) -> None:
    rate = {"name": "e", "job": "m:j", "outcome": "done", "bucket": 1, "runs": 1, "seconds": 1.0, "bus": "default"}
    with durable_manager.log.begin() as connection:
        for width, age in ((60, 3), (60, 1), (3600, 399), (3600, 401)):
            connection.execute(insert(rates).values(rate | {"width": width, "start": int(NOW - age * DAY)}))

        prune_rates(connection, NOW, HOURS_KEPT)

        kept = Counter(tuple(row) for row in connection.execute(select(rates.c.width, rates.c.start)))
    assert kept.pop((0, 0)) == 1
    assert kept == {(60, int(NOW - DAY)): 1, (3600, int(NOW - 399 * DAY)): 1}


def test_the_oldest_rows_and_what_belongs_to_them_are_found_by_an_index(durable_manager: EventsManager) -> None:
    store(durable_manager, ("old", 99, [("done", 99)]))
    with durable_manager.log.begin() as connection:
        if connection.dialect.name != "sqlite":
            pytest.skip("PostgreSQL plans by its statistics, and there are none of an empty table")
        asked: list[str] = []
        plan: Any = connection.connection.dbapi_connection
        plan.set_trace_callback(asked.append)
        prune_one = Prune(Retention.of(durable_manager.config, NOW))
        while not prune_one.is_over:
            prune_one.batch(connection)
        plan.set_trace_callback(None)
        plans = [str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}").all()) for query in asked]

    assert "condor_finished" in plans[0] and "condor_deliveries_of" in plans[1]
    assert "condor_fired" in plans[-1] and "condor_deliveries_of" in plans[-1]
    assert not any("TEMP B-TREE FOR ORDER BY" in one or "SCAN condor" in one for one in plans)


@pytest.mark.parametrize("key", ["CONDOR_RETENTION_DONE", "CONDOR_RETENTION_DEAD"])
@pytest.mark.parametrize("days", [0, -1, "30", True, float("nan"), float("inf"), 40_000])
def test_a_retention_that_is_no_number_of_days_is_refused(key: str, days: object) -> None:
    app = Flask("app")
    app.config[key] = days

    with pytest.raises(ConfigInvalid, match=f"{key} is .*expected a number of days above 0"):
        Condor(app)


def test_the_retention_is_30_days_and_90_for_the_dead_unless_it_is_set() -> None:
    app, other = Flask("app"), Flask("other")
    other.config |= {"CONDOR_RETENTION_DONE": 0.5, "CONDOR_RETENTION_DEAD": None}
    Condor(app)
    Condor(other)

    assert Retention.of(app.extensions["condor"].config, 100 * DAY) == Retention(70 * DAY, 10 * DAY)
    assert Retention.of(other.extensions["condor"].config, DAY) == Retention(0.5 * DAY, None)
