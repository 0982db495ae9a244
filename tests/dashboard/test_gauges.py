"""The gauges: a worker notes how the queue stands once in a minute, and the overview shows it through the period."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask_condor import EventsManager
from flask_condor import travel
from flask_condor.gauges import Gauge
from flask_condor.gauges import gauges_of
from flask_condor.gauges import note_gauge
from flask_condor.models import deliveries
from flask_condor.presence import Presence
from flask_condor.presence import sign_in
from flask_condor.prune import prune_trends
from flask_condor.trend_models import gauges
from flask_condor.upkeep import Upkeep
from sqlalchemy import delete
from sqlalchemy import insert
from sqlalchemy import select

from tests.dashboard.apps import ADA
from tests.dashboard.apps import USERS
from tests.dashboard.apps import make_app
from tests.dashboard.apps import manager_of
from tests.dashboard.test_overview import NOW
from tests.dashboard.test_overview import tiles_in
from tests.dashboard.test_overview import write_delivery

MINUTE = int(NOW // 60) * 60
HOUR = int(NOW // 3600) * 3600
DAY = 86_400


@pytest.fixture(autouse=True)
def at_a_fixed_time(monkeypatch: pytest.MonkeyPatch) -> None:
    go_to(monkeypatch, NOW)


@pytest.fixture
def manager(database_url: str, tmp_path: Path) -> Iterator[EventsManager]:
    manager = manager_of(make_app(tmp_path, users=USERS, CONDOR_DATABASE_URL=database_url))
    yield manager
    manager.log.engine.dispose()


def go_to(monkeypatch: pytest.MonkeyPatch, moment: float) -> None:
    monkeypatch.setattr(travel, "ahead", moment - time.time())


def note(manager: EventsManager) -> bool:
    with manager.log.begin() as connection:
        return note_gauge(connection)


def noted(manager: EventsManager, starts: range) -> dict[int, Gauge]:
    with manager.log.read() as connection:
        return gauges_of(connection, starts)


def write_gauges(manager: EventsManager, *rows: tuple[int, int, float, int], width: int = 60) -> None:
    names = "start", "pending", "waited", "workers"
    with manager.log.begin() as connection:
        for row in rows:
            connection.execute(insert(gauges).values(bus="default", width=width, **dict(zip(names, row, strict=True))))


def tiles(manager: EventsManager, query: str = "?period=1h") -> dict[str, tuple[str, str]]:
    return tiles_in(manager.app.test_client().get(f"/condor/{query}", auth=ADA).text)


def test_it_tells_how_much_waits_for_how_long_and_who_works(manager: EventsManager) -> None:
    write_delivery(manager, "e1", due_at=NOW - 90, queue="a")
    write_delivery(manager, "e2", due_at=NOW - 30, queue="b")
    write_delivery(manager, "later", due_at=NOW + 900)
    write_delivery(manager, "over", state="done")
    with manager.log.begin() as connection:
        sign_in(connection, Presence.here(1, ()))

    assert note(manager)

    (one,) = noted(manager, range(MINUTE, MINUTE + 60, 60)).values()
    assert (one.pending, one.workers) == (3, 1)
    assert one.waited == pytest.approx(90, abs=30)


def test_the_first_look_in_a_minute_is_noted(manager: EventsManager) -> None:
    was_noted = [note(manager), note(manager)]
    write_delivery(manager, "e1")
    again = note(manager)

    assert (was_noted, again) == ([True, False], False)
    assert [one.pending for one in noted(manager, range(MINUTE, MINUTE + 60, 60)).values()] == [0]


def test_an_hour_holds_the_highest_of_its_minutes(manager: EventsManager, monkeypatch: pytest.MonkeyPatch) -> None:
    for minute, waiting in enumerate((1, 3, 2)):
        go_to(monkeypatch, HOUR + 60 * minute + 5)
        with manager.log.begin() as connection:
            connection.execute(delete(deliveries))
        for number in range(waiting):
            write_delivery(manager, f"e{minute}-{number}", due_at=HOUR)
        note(manager)

    minutes = noted(manager, range(HOUR, HOUR + 3600, 60))
    (hour,) = noted(manager, range(HOUR, HOUR + 3600, 3600)).values()

    assert [one.pending for one in minutes.values()] == [1, 3, 2]
    assert (hour.pending, hour.workers) == (3, 0)
    assert hour.waited == max(one.waited for one in minutes.values()) > 120


def test_a_worker_notes_it_and_forgets_what_is_old(manager: EventsManager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flask_condor.upkeep.FIRST_PRUNE", 0.0)
    write_gauges(manager, (MINUTE - 3 * DAY, 1, 0.0, 1))

    Upkeep(manager).tick()

    with manager.log.read() as connection:
        kept = connection.execute(select(gauges.c.width, gauges.c.start).order_by(gauges.c.width)).all()
    assert kept == [(60, MINUTE), (3600, HOUR)]


def test_minutes_are_kept_for_2_days_and_hours_for_400(manager: EventsManager) -> None:
    for width in (60, 3600):
        write_gauges(manager, *((int(NOW) - days * DAY, 0, 0.0, 1) for days in (1, 3, 399, 401)), width=width)

    with manager.log.begin() as connection:
        pruned = prune_trends(connection, NOW)

    with manager.log.read() as connection:
        kept = sorted((row.width, (int(NOW) - row.start) // DAY) for row in connection.execute(select(gauges)))
    assert (pruned, kept) == (4, [(60, 1), (3600, 1), (3600, 3), (3600, 399)])


def test_the_tiles_tell_the_peak_of_the_period_and_of_the_one_before(manager: EventsManager) -> None:
    write_gauges(manager, (MINUTE - 600, 6, 30.0, 2), (MINUTE - 540, 3, 90.0, 2), (MINUTE - 5400, 4, 180.0, 2))
    write_delivery(manager, "e1", due_at=NOW - 5)

    found = tiles(manager)

    assert found["Queue depth"] == ("1", "peak 6, ▲ 50 %")
    assert found["Oldest waiting"][1] == "peak 1 min, ▼ 50 %"
    assert found["Workers"] == ("0", "peak 2, as before")


def test_what_waits_now_is_a_peak_too_save_in_a_period_that_is_over(manager: EventsManager) -> None:
    write_gauges(manager, (MINUTE - 60, 1, 0.0, 1), (MINUTE - 5400, 0, 0.0, 1))
    for number in range(3):
        write_delivery(manager, f"e{number}")

    now = tiles(manager)["Queue depth"]
    past = tiles(manager, f"?since={iso(NOW - 3600)}&until={iso(NOW - 60)}")

    assert now == ("3", "peak 3, before 0")
    assert past["Queue depth"] == ("3", "peak 1, before 0")


def test_lines_end_where_no_worker_ran(manager: EventsManager) -> None:
    write_gauges(manager, *((MINUTE - 60 * ago, 2, 0.0, 1) for ago in (50, 49, 48, 10)))

    page = manager.app.test_client().get("/condor/?period=1h", auth=ADA).text

    depth = re.search(r'<svg [^>]*aria-label="Queue depth over the period".*?</svg>', page)
    assert depth and depth[0].count("<polyline") == 2


def test_without_a_worker_in_the_period_there_is_no_history(manager: EventsManager) -> None:
    write_gauges(manager, (MINUTE - 5400, 4, 180.0, 2))

    found, page = tiles(manager), manager.app.test_client().get("/condor/?period=1h", auth=ADA).text

    labels = "Queue depth", "Oldest waiting", "Workers"
    assert [found[label][1] for label in labels] == ["no history: no worker ran"] * 3
    assert not [label for label in labels if f"{label} over the period" in page]


def iso(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))
