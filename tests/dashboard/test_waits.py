"""The waits: each worker counts for how long what it begins had been due, and the screen Queue shows them over time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor.models import deliveries
from flask_condor.plan import Plan
from flask_condor.prune import prune_trends
from flask_condor.rates import bucket_of
from flask_condor.rates import percentiles
from flask_condor.trend_models import waits
from flask_condor.waits import Wait
from flask_condor.waits import add_waits
from flask_condor.waits import waits_over_time
from flask_condor.worker import Worker
from sqlalchemy import select
from sqlalchemy import update

from tests.dashboard.apps import ADA
from tests.dashboard.apps import USERS
from tests.dashboard.apps import make_app
from tests.dashboard.apps import manager_of
from tests.dashboard.test_overview import charts_in

DAY = 86_400


def send(event: Event[Any], ctx: Context) -> None:
    """Stand for a queued job."""


@pytest.fixture
def manager(database_url: str, tmp_path: Path) -> Iterator[EventsManager]:
    manager = manager_of(make_app(tmp_path, users=USERS, CONDOR_DATABASE_URL=database_url))
    manager.register("order.paid", send, run="queued", queue="mail")
    yield manager
    manager.log.engine.dispose()


def fire(manager: EventsManager, name: str = "order.paid", *, ago: float = 0.0, times: int = 1) -> None:
    with manager.app.app_context():
        for _ in range(times):
            manager.fire(Event(name, {}))
    with manager.log.begin() as connection:
        due = update(deliveries).where(deliveries.c.state == "pending")
        connection.execute(due.values(due_at=deliveries.c.due_at - ago))


def work(manager: EventsManager) -> None:
    worker = Worker(manager, Plan(once=True, replaceable=False))
    worker.open()
    worker.run()


def count(manager: EventsManager, *found: Wait) -> None:
    with manager.log.begin() as connection:
        add_waits(connection, found)


def hours() -> range:
    here = int(time.time() // 3600) * 3600
    return range(here - 3600, here + 3600, 3600)


def counted(manager: EventsManager, queue: str | None = None) -> dict[int, int]:
    """Return how many fell into each class in the last hours."""
    with manager.log.read() as connection:
        found = waits_over_time(connection, hours(), queue)
    sums: dict[int, int] = {}
    for buckets in found.values():
        sums |= {bucket: sums.get(bucket, 0) + runs for bucket, runs in buckets.items()}
    return sums


def page_of(manager: EventsManager, query: str = "") -> str:
    response = manager.app.test_client().get(f"/condor/queue{query}", auth=ADA)
    assert response.status_code == 200, response.text
    return response.text


def test_a_worker_counts_for_how_long_each_job_that_it_begins_had_been_due(manager: EventsManager) -> None:
    fire(manager, ago=100.0, times=3)
    work(manager)

    found = counted(manager)

    assert sum(found.values()) == 3
    assert percentiles(found, (0.5,))[0] == pytest.approx(100.0, rel=0.2)


def test_what_was_never_begun_is_not_counted(manager: EventsManager) -> None:
    fire(manager)

    assert counted(manager) == {}


def test_waits_add_up_in_their_minute_and_hour_by_queue(manager: EventsManager) -> None:
    count(manager, ("mail", 1.0), ("mail", 1.0), ("slow", 60.0))
    count(manager, ("mail", 1.0))

    with manager.log.read() as connection:
        rows = connection.execute(select(waits.c.width, waits.c.queue, waits.c.bucket, waits.c.runs)).all()

    assert {row.width for row in rows} == {60, 3600}
    assert counted(manager) == {bucket_of(1.0): 3, bucket_of(60.0): 1}
    assert counted(manager, "slow") == {bucket_of(60.0): 1}


def test_a_time_without_any_has_an_entry_too(manager: EventsManager) -> None:
    with manager.log.read() as connection:
        assert waits_over_time(connection, range(0, 180, 60)) == {0: {}, 60: {}, 120: {}}


def test_minutes_are_kept_for_2_days_and_hours_for_400(manager: EventsManager) -> None:
    count(manager, ("mail", 1.0))

    with manager.log.begin() as connection:
        pruned = [prune_trends(connection, time.time() + days * DAY) for days in (1, 3, 399, 401)]

    assert pruned == [0, 1, 0, 1]


def test_the_queue_shows_the_latency_of_the_period_with_a_summary_and_a_table(manager: EventsManager) -> None:
    count(manager, *[("mail", 0.1)] * 90, *[("slow", 30.0)] * 10)

    page = page_of(manager)
    (chart,) = charts_in(page)

    p50, p95 = ([value for value in one["values"] if value is not None] for one in chart["series"])
    assert (p50, p95) == ([pytest.approx(0.1, rel=0.1)], [pytest.approx(30.0, rel=0.1)])
    assert len(chart["x"]) == 60 and chart["unit"] == "s"
    assert "Half of the queued jobs began within" in page and "95 % within" in page
    assert page.count("Show as table") == 1 and page.count('<svg class="chart-svg"') == 1


def test_the_latency_is_that_of_the_queue_that_is_asked_for(manager: EventsManager) -> None:
    count(manager, ("mail", 0.1), ("slow", 30.0))

    (of_mail,), (of_none,) = (charts_in(page_of(manager, f"?queue={name}&period=24h")) for name in ("mail", "none"))

    values = [value for value in of_mail["series"][1]["values"] if value is not None]
    assert values == [pytest.approx(0.1, rel=0.1)]
    assert not any(of_none["series"][0]["values"])
    assert "No queued job began in this time." in page_of(manager, "?queue=none")
