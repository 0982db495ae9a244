"""The screen Overview: its numbers are those of the log, for the period that is asked for."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_condor import EventsManager
from flask_condor import travel
from flask_condor.dashboard.figures import Chart
from flask_condor.dashboard.figures import change_of
from flask_condor.dashboard.figures import change_of_share
from flask_condor.dashboard.reading.glance import fired_in
from flask_condor.dashboard.reading.glance import newest_failures
from flask_condor.dashboard.reading.glance import waiting
from flask_condor.gauges import MOST
from flask_condor.models import deliveries
from flask_condor.models import events
from flask_condor.presence import Presence
from flask_condor.presence import sign_in
from flask_condor.rates import Finished
from flask_condor.rates import add_runs
from sqlalchemy import insert

from tests.dashboard.apps import ADA
from tests.dashboard.apps import USERS
from tests.dashboard.apps import make_app
from tests.dashboard.apps import manager_of

NOW = 1_790_000_000.0
"""Twenty seconds after a minute has begun."""


@pytest.fixture
def at_a_fixed_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(travel, "ahead", NOW - time.time())


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    return make_app(tmp_path, users=USERS)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def runs(
    count: int, outcome: Any, at: float, *, name: str = "a", job: str = "m:j", seconds: float = 0.1
) -> list[Finished]:
    return [Finished(name, job, outcome, at, seconds)] * count


def write_runs(manager: EventsManager, *found: list[Finished]) -> None:
    with manager.log.begin() as connection:
        add_runs(connection, [run for some in found for run in some])


def write_delivery(manager: EventsManager, id: str, **changes: Any) -> None:
    event = {"id": id, "name": "a", "payload": "{}", "is_replayable": True, "is_orphan": False, "source": "app"}
    event |= {"fired_at": changes.pop("fired_at", NOW), "root_id": id, "path": "[]", "bus": "default"}
    delivery = {"event_id": id, "job": "m:j", "run": "queued", "queue": "default", "priority": 0, "state": "pending"}
    delivery |= {"due_at": NOW, "attempt": 1, "losses": 0, "bus": "default"} | changes
    with manager.log.begin() as connection:
        connection.execute(insert(events).values(event))
        connection.execute(insert(deliveries).values(delivery))


def tiles_in(page: str) -> dict[str, tuple[str, str]]:
    """Return the value, and what is told of its change, of each tile."""
    found = re.findall(
        r'<article class="tile.*?">\s*<h2>(.*?)</h2>\s*<p class="value">(.*?)</p>\s*<p class="change.*?">(.*?)&nbsp;',
        page,
    )
    return {re.sub("<.*?>", "", label): (value, told) for label, value, told in found}


def charts_in(page: str) -> list[dict[str, Any]]:
    from html import unescape

    return [json.loads(unescape(text)) for text in re.findall(r'data-chart="([^"]*)"', page)]


def test_an_empty_log_says_what_to_do_next(client: FlaskClient) -> None:
    page = client.get("/condor/", auth=ADA).text

    assert "No event was fired" in page
    assert "flask events fire NAME" in page
    assert {value for value, _ in tiles_in(page).values()} == {"0", "–"}


@pytest.mark.usefixtures("at_a_fixed_time")
def test_the_tiles_tell_of_the_period_and_of_the_one_before(app: Flask, client: FlaskClient) -> None:
    write_runs(
        manager_of(app),
        runs(8, "done", NOW - 600), runs(1, "dead", NOW - 600, seconds=9.0), runs(1, "failed", NOW - 600),
        runs(5, "done", NOW - 4000), runs(9, "done", NOW - 90_000),
    )  # fmt: skip

    tiles = tiles_in(client.get("/condor/?period=1h", auth=ADA).text)

    assert tiles["Job runs"] == ("10", "▲ 100 %")
    assert tiles["Success rate"] == ("88.9 %", "▼ 11.1 points")
    assert tiles["Failure rate"] == ("20 %", "▲ 20.0 points")
    assert tiles["p95 duration"][0].startswith(("8.", "9."))


@pytest.mark.usefixtures("at_a_fixed_time")
def test_the_chart_of_a_period_adds_up_to_its_tile(app: Flask, client: FlaskClient) -> None:
    write_runs(manager_of(app), runs(3, "done", NOW - 30), runs(2, "lost", NOW - 90), runs(1, "dead", NOW - 3500))

    throughput, pace = charts_in(client.get("/condor/?period=1h", auth=ADA).text)

    assert len(throughput["x"]) == len(pace["x"]) == 60
    assert [sum(one["values"]) for one in throughput["series"]] == [3, 2, 1]
    assert [len([value for value in one["values"] if value is not None]) for one in pace["series"]] == [2, 2]


@pytest.mark.usefixtures("at_a_fixed_time")
def test_each_chart_has_a_summary_and_a_table(app: Flask, client: FlaskClient) -> None:
    write_runs(manager_of(app), runs(3, "done", NOW - 30))

    page = client.get("/condor/", auth=ADA).text

    assert "3 runs: 3 done, 0 tried again, 0 dead." in page
    assert page.count("Show as table") == 2
    assert page.count('<svg class="chart-svg"') == 2


def test_the_line_of_events_tells_in_which_part_of_the_period_each_was_fired(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = manager_of(make_app(tmp_path, users=USERS, CONDOR_DATABASE_URL=database_url))
    moments = [NOW - 0.1, NOW, NOW + 2.4, NOW + 7.6, NOW + 9.9, NOW + 10]
    for number, at in enumerate(moments):
        write_delivery(manager, f"e{number}", fired_at=at)

    with manager.log.read() as connection:
        whole = fired_in(connection, NOW, NOW + 10, 4)
        monkeypatch.setattr("flask_condor.dashboard.reading.glance.MOST", 2)
        newest = fired_in(connection, NOW, NOW + 10, 4)
    manager.log.engine.dispose()

    assert (whole, newest) == ([2, 0, 0, 2], [1, 0, 0, 2])


def test_the_bars_of_a_chart_are_one_path_a_colour_stacked_from_the_first_series() -> None:
    counts = [("done", "ok", [3, 0]), ("dead", "failed", [1, 2])]
    series = [{"label": label, "colour": f"--series-{name}", "values": values} for label, name, values in counts]

    stacked = Chart([0, 60], series, True, "runs", "").bars
    beside = Chart([0, 60], series, False, "s", "").bars

    assert stacked == [("failed", "M0 0.0h.8v25.0h-.8zM1 50.0h.8v50.0h-.8z"), ("ok", "M0 25.0h.8v75.0h-.8z")]
    assert beside == [("failed", "M0 66.7h.8v33.3h-.8zM1 33.3h.8v66.7h-.8z"), ("ok", "M0 0.0h.8v100.0h-.8z")]


@pytest.mark.usefixtures("at_a_fixed_time")
def test_what_fails_most_and_what_is_slowest_come_first(app: Flask, client: FlaskClient) -> None:
    write_runs(
        manager_of(app),
        runs(9, "done", NOW - 60, name="fine", job="m:quick", seconds=0.01),
        runs(2, "failed", NOW - 60, name="bad", job="m:quick"),
        runs(5, "dead", NOW - 60, name="worse", job="m:slow", seconds=30.0),
    )

    page = client.get("/condor/", auth=ADA).text

    failing = page[page.index("Events that fail most") : page.index("Slowest jobs")]
    slowest = page[page.index("Slowest jobs") : page.index("Newest failures")]
    assert re.findall(r">(fine|bad|worse)</a>", failing) == ["worse", "bad"]
    assert re.findall(r">(quick|slow)</a>", slowest) == ["slow", "quick"]


@pytest.mark.usefixtures("at_a_fixed_time")
def test_the_newest_failures_can_be_retried_by_whoever_may(tmp_path: Path) -> None:
    app = make_app(tmp_path, users=USERS, authorize=lambda action, request: action in allowed)
    write_delivery(manager_of(app), "e1", state="dead", finished_at=NOW, error="KeyError: password=hunter2")
    write_delivery(manager_of(app), "e2", state="dead", finished_at=NOW, run="now", error="ValueError: <no>")
    client, allowed = app.test_client(), {"view", "retry"}

    may, allowed = client.get("/condor/", auth=ADA).text, {"view"}
    may_not = client.get("/condor/", auth=ADA).text

    assert (may.count('class="action"'), may_not.count('class="action"')) == (1, 0)
    assert "hunter2" not in may
    assert "ValueError: &lt;no&gt;" in may


@pytest.mark.usefixtures("at_a_fixed_time")
def test_what_needs_somebody_is_told_at_the_top(tmp_path: Path) -> None:
    app = make_app(tmp_path, users=USERS, CONDOR_RETENTION_DONE=None)
    write_delivery(manager_of(app), "e1", due_at=NOW - 120)

    page = app.test_client().get("/condor/", auth=ADA).text

    assert "1 waiting, no worker seen." in page
    assert "flask events worker" in page
    assert "Retention is off" in page
    assert tiles_in(page)["Oldest waiting"] == ("2 min", "no history: no worker ran")
    assert "since it was due" in page


@pytest.mark.usefixtures("at_a_fixed_time")
def test_the_oldest_that_waits_is_found_in_any_queue_and_priority(durable_manager: EventsManager) -> None:
    manager = durable_manager
    for number, (queue, priority, age) in enumerate([("a", 0, 1), ("a", 5, 9), ("a", 9, 2), ("b", 0, 7), ("c", -1, 3)]):
        write_delivery(
            manager, f"e{number}", queue=queue, priority=priority, due_at=time.time() + travel.ahead - age * 100
        )
    write_delivery(manager, "later", queue="z", due_at=time.time() + travel.ahead + 900)

    with manager.log.begin() as connection:
        before = waiting(connection)
        sign_in(connection, Presence.here(1, ("a",)))
        after = waiting(connection)

    assert before.oldest_due == pytest.approx(time.time() + travel.ahead - 900, abs=60)
    assert (before.pending, before.workers, after.workers) == (6, 0, 1)


def test_failures_are_read_newest_first(durable_manager: EventsManager) -> None:
    for number in range(4):
        write_delivery(durable_manager, f"e{number}", state="dead", error="x")
    write_delivery(durable_manager, "fine", state="done")

    with durable_manager.log.read() as connection:
        found = newest_failures(connection, 3)

    assert [one.event_id for one in found] == ["e3", "e2", "e1"]


def test_counts_stop_at_a_bound_and_say_so(app: Flask, client: FlaskClient) -> None:
    with manager_of(app).log.begin() as connection:
        row = {"name": "a", "payload": "{}", "is_replayable": True, "is_orphan": False, "source": "app", "path": "[]"}
        rows = [
            row | {"id": str(n), "root_id": str(n), "fired_at": time.time() - 5, "bus": "default"}
            for n in range(MOST + 5)
        ]
        connection.execute(insert(events), rows)

    tiles = tiles_in(client.get("/condor/", auth=ADA).text)

    assert tiles["Events"] == ("10\N{NARROW NO-BREAK SPACE}000+", "")


def test_a_change_is_told_with_whether_it_is_good() -> None:
    told = [
        change_of(110, 100),
        change_of(50, 100, up_is_good=False),
        change_of(5, 1),
        change_of(1399, 10),
        change_of(1, 1),
        change_of(1, 0),
    ]
    shares = [change_of_share(0.9, 0.95, up_is_good=True), change_of_share(None, 1.0, up_is_good=True)]

    assert told == [("▲ 10 %", None), ("▼ 50 %", True), ("▲ × 5.0", None), ("▲ × 140", None), ("as before", None), None]
    assert shares == [("▼ 5.0 points", False), None]


def test_a_database_that_is_away_has_a_page_that_says_so(tmp_path: Path) -> None:
    path = tmp_path / "condor.db"
    path.write_text("this is no database, however long it may be" * 100)

    answer = make_app(tmp_path, users=USERS).test_client().get("/condor/", auth=ADA)

    assert answer.status_code == 503
    assert "The event log is away" in answer.text and "<p>The event log was not" in answer.text
    assert '<a href="/condor/">Try again</a>' in answer.text
    assert answer.headers["Retry-After"] == "5"
