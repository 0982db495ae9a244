"""The screen Runs: all runs by their state and more, in pages, one with its attempts, and what is done to it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask import Request
from flask.testing import FlaskClient
from flask_condor.dashboard.reading import runs as reading
from flask_condor.dashboard.strip import WIDTH
from flask_condor.dashboard.strip import strip_of
from flask_condor.failures import Failed
from flask_condor.failures import add_failures
from flask_condor.models import audit
from flask_condor.models import deliveries
from flask_condor.models import events
from flask_condor.storable import Failure
from flask_condor.timeline import Step
from sqlalchemy import insert
from sqlalchemy import select

from tests.dashboard.apps import make_app
from tests.dashboard.apps import manager_of
from tests.dashboard.apps import press
from tests.dashboard.apps import token_of

allowed: set[str] = set()


def authorize(action: str, request: Request) -> bool:
    return action in allowed


@pytest.fixture
def app(database_url: str, tmp_path: Path) -> Iterator[Flask]:
    allowed.clear()
    allowed.update(("view", "retry", "cancel", "purge"))
    app = make_app(tmp_path, authorize=authorize, CONDOR_DATABASE_URL=database_url)
    yield app
    manager_of(app).log.engine.dispose()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def store(app: Flask, state: str = "done", *, ago: float = 60.0, took: float = 0.5, **values: Any) -> int:
    """Write an event with one delivery, and return its number."""
    at = time.time() - ago
    name = values.pop("name", "order.placed")
    has_ended, has_begun = state in ("done", "dead", "cancelled"), state != "pending"
    row = {"job": "jobs.mail:mail", "run": "queued", "queue": "default", "priority": 0, "state": state, "due_at": at}
    row |= {"attempt": int(has_begun), "losses": 0, "bus": "default", "started_at": at - took if has_begun else None}
    row |= {"finished_at": at if has_ended else None, "worker": "host:1" if has_begun else None} | values
    with manager_of(app).log.begin() as connection:
        id = f"{name}-{time.perf_counter_ns()}"
        event = {"id": id, "name": name, "payload": "1", "is_replayable": True, "is_orphan": False, "source": "app"}
        event |= {"fired_at": at, "root_id": id, "path": "[]", "bus": "default"}
        connection.execute(insert(events).values(event))
        adding = insert(deliveries).values(row | {"event_id": id}).returning(deliveries.c.id)
        return int(connection.execute(adding).scalar_one())


def listed(client: FlaskClient, query: str = "") -> list[int]:
    answer = client.get(f"/condor/runs?{query}")
    assert answer.status_code == 200, answer.text
    return [int(id) for id in re.findall(r'<th scope="row" class="number"><a href="/condor/runs/(\d+)', answer.text)]


def test_runs_are_listed_by_their_state_the_newest_first(app: Flask, client: FlaskClient) -> None:
    made = {
        "done": store(app),
        "dead": store(app, "dead", ago=9_000_000),
        "cancelled": store(app, "cancelled"),
        "running": store(app, "running", lease_until=time.time() + 9),
        "waiting": store(app, "pending"),
        "scheduled": store(app, "pending", ago=-3600),
        "retrying": store(app, "pending", attempt=2),
    }

    assert listed(client) == list(made.values())[::-1]
    for state, id in made.items():
        assert id in listed(client, f"state={state}") and len(listed(client, f"state={state}")) <= 2
    assert listed(client, "state=waiting") == [made["retrying"], made["waiting"]]


def test_the_period_is_that_in_which_runs_ended_and_spares_what_is_open_or_dead(
    app: Flask, client: FlaskClient
) -> None:
    old, new = store(app, ago=7200), store(app)
    dead, waiting = store(app, "dead", ago=7200), store(app, "pending", ago=7200)

    assert listed(client, "period=1h") == [waiting, dead, new]
    assert listed(client, "period=24h") == [waiting, dead, new, old]
    assert listed(client, "since=2020-01-01&until=2020-01-02") == [waiting]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("job=mail", [3, 2, 1]),
        ("job=jobs.index:index", [4]),
        ("event=order.shipped", [2]),
        ("run=now", [3]),
        ("attempt=3", [2]),
        ("duration=10", [3]),
        ("worker=host:2", [4]),
        ("failure=7", [1]),
        ("state=dead&job=mail", [1]),
        ("state=dead&failure=7", [1]),
        ("state=dead&failure=8", []),
        ("state=done&job=mail&run=queued", [2]),
        ("job=none", []),
    ],
)
def test_runs_are_filtered(app: Flask, client: FlaskClient, query: str, expected: list[int]) -> None:
    store(app, "dead", failure_id=7)
    store(app, name="order.shipped", attempt=3)
    store(app, run="now", took=20)
    store(app, job="jobs.index:index", worker="host:2:alone")

    assert listed(client, query) == expected


@pytest.mark.parametrize("query", ["", "state=dead", "state=dead&job=mail", "job=mail", "state=waiting", "state=done"])
def test_pages_follow_one_another_without_a_gap_also_where_only_some_are_looked_at(
    app: Flask, client: FlaskClient, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "LOOKED_AT", 3)
    monkeypatch.setattr(reading, "SCATTERED", 3)
    monkeypatch.setattr("flask_condor.dashboard.pages.runs.ROWS", 2)
    made = [store(app, "pending" if "waiting" in query else "dead" if "dead" in query else "done") for _ in range(7)]
    for _ in range(4):
        store(app, job="jobs.other:other", ago=9000)
    found: list[int] = []
    url: str | None = f"/condor/runs?{query}"

    for _ in range(20):
        if url is None:
            break
        page = client.get(url).text
        found += [int(id) for id in re.findall(r'<th scope="row" class="number"><a href="/condor/runs/(\d+)', page)]
        following = re.search(r'<a href="([^"]+)" rel="next"', page)
        url = following[1].replace("&amp;", "&") if following else None

    assert found == made[::-1] and url is None


def test_an_empty_page_says_what_to_do(client: FlaskClient) -> None:
    page = client.get("/condor/runs?job=none").text

    assert "No run is like that." in page and "flask events log" in page
    assert 'aria-label="Remove the filter Job"' in page


def test_the_list_is_exported_with_secrets_hidden(app: Flask, client: FlaskClient) -> None:
    id = store(app, "dead", error="=ValueError: token=abc\nTraceback")

    exported: Any = client.get("/condor/runs?format=json").json
    [row] = exported["rows"]
    csv = client.get("/condor/runs?format=csv&state=dead").text

    assert (row["delivery"], row["state"], row["error"]) == (id, "dead", "=ValueError: token=[redacted]")
    assert "'=ValueError: token=[redacted]" in csv and csv.count("\n") == 2


def test_one_run_has_its_attempts_its_error_and_its_result(app: Flask, client: FlaskClient) -> None:
    id = store(app, attempt=2, result='{"receipt":"<r>","password":"hunter2"}')
    failure = Failure(
        "ValueError", "jobs:f", "ValueError: no <b>\nTraceback (most recent call last):\nValueError: no <b>"
    )
    with manager_of(app).log.begin() as connection:
        at = time.time() - 100
        add_failures(connection, [Failed(id, 1, "order.placed", "jobs.mail:mail", "failed", "w", at - 1, at, failure)])

    page = client.get(f"/condor/runs/{id}").text

    assert "ValueError: no &lt;b&gt;" in page and "<b>no" not in page
    assert page.count('<rect class="bar-') == 3 and "Waited 3" in page
    assert "&lt;r&gt;" in page and "[redacted]" in page and "hunter2" not in page
    assert "Forget" in page and "Retry" not in page and "/condor/events/order.placed-" in page


def test_a_run_that_was_not_tried_says_so_and_can_be_run_now_or_cancelled(app: Flask, client: FlaskClient) -> None:
    later = store(app, "pending", ago=-3600)
    token = token_of(client, f"/condor/runs/{later}")

    page = client.get(f"/condor/runs/{later}").text
    assert "It was not tried yet." in page and "flask events worker" in page
    press(client, f"/condor/runs/{later}/run-now", token)
    assert listed(client, "state=scheduled") == [] and listed(client, "state=waiting") == [later]
    press(client, f"/condor/runs/{later}/cancel", token)
    assert listed(client, "state=cancelled") == [later]
    press(client, f"/condor/runs/{later}/retry", token)
    assert listed(client, "state=waiting") == [later]

    with manager_of(app).log.read() as connection:
        noted = connection.execute(select(audit).order_by(audit.c.id)).all()
    assert [(one.action, one.actor, one.delivery_id) for one in noted] == [
        (action, "dashboard 127.0.0.1", later) for action in ("run-now", "cancel", "retry")
    ]


def test_a_run_that_has_ended_is_forgotten_and_another_is_not(app: Flask, client: FlaskClient) -> None:
    done, waiting = store(app), store(app, "pending")
    token = token_of(client, f"/condor/runs/{done}")

    gone = press(client, f"/condor/runs/{done}/forget", token)
    refused = press(client, f"/condor/runs/{waiting}/forget", token)

    assert gone.headers["Location"] == "/condor/runs" and client.get(f"/condor/runs/{done}").status_code == 404
    assert refused.status_code == 409 and "cancel it first" in refused.text and listed(client) == [waiting]


@pytest.mark.parametrize("action", ["retry", "cancel", "run-now", "forget"])
def test_who_may_only_look_is_refused(app: Flask, client: FlaskClient, action: str) -> None:
    id = store(app, "dead")
    token = token_of(client, f"/condor/runs/{id}")
    allowed.intersection_update({"view"})

    page = client.get(f"/condor/runs/{id}").text

    assert press(client, f"/condor/runs/{id}/{action}", token).status_code == 403 and listed(client) == [id]
    assert 'method="post"' not in page


@pytest.mark.parametrize("action", ["retry", "cancel", "run-now", "forget"])
def test_a_run_that_is_not_there_is_told_in_a_page(client: FlaskClient, app: Flask, action: str) -> None:
    token = token_of(client, f"/condor/runs/{store(app)}")

    answer = press(client, f"/condor/runs/999/{action}", token)

    assert answer.status_code == 409 and "999 is not in the event log" in answer.text


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("state=<script>", 400),
        ("attempt=-1", 400),
        ("attempt=x", 400),
        ("duration=1e9", 400),
        ("failure=99999999999999999999", 400),
        ("cursor=xx", 400),
        ("cursor=Wy01XQ", 200),
        ("run=later", 400),
        ("format=xml", 400),
        ("worker=%F0%9F%92%A9", 200),
        ("job=%27;DROP%20TABLE", 200),
        ("event=%ED%A0%80", 200),
    ],
)
def test_wrong_input_is_told_in_a_page(client: FlaskClient, query: str, status: int) -> None:
    answer = client.get(f"/condor/runs?{query}")

    assert answer.status_code == status and "<script>" not in answer.text.replace("<script src=", "")


def test_the_strip_is_as_wide_as_its_attempts_and_waits_together() -> None:
    steps = [
        Step(1, "failed", 0.0, 1.0, None, None, None, 101.0),
        Step(2, "lost", 101.0, 102.0, None, None, None, None),
        Step(3, "running", 150.0, None, None, None, None, None),
    ]

    bars = strip_of(steps, 160.0)

    assert [bar.outcome for bar in bars] == ["failed", "wait", "lost", "running"]
    assert abs(bars[-1].x + bars[-1].width - WIDTH) < 1 and bars[1].width > bars[0].width
    assert bars[-1].label == "Attempt 3: running, 10.0 s" and strip_of([], 0.0) == []
    assert strip_of([Step(1, "done", 5.0, 5.0, None, None, None)], 9.0)[0].width <= WIDTH


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("runs?state=failed", "Did you mean retrying or dead?"),
        ("runs?state=ok", "Did you mean done?"),
        ("runs?state=pending", "Did you mean waiting or scheduled or retrying?"),
        ("runs?state=canceled", "Did you mean cancelled?"),
        ("search?q=state:failed", "Did you mean retrying or dead?"),
        ("events?status=done", "Did you mean ok?"),
        ("events?status=retrying", "Did you mean waiting?"),
        ("search?q=status:dead", "Did you mean failed or partial?"),
    ],
)
def test_another_word_for_a_state_is_answered_with_the_one_that_is_meant(
    client: FlaskClient, path: str, told: str
) -> None:
    answer = client.get(f"/condor/{path}")

    assert answer.status_code == 400 and told in answer.text


def test_a_run_is_in_the_same_state_on_every_page_and_that_is_no_word_for_an_event(
    app: Flask, client: FlaskClient
) -> None:
    made = {"retrying": store(app, "pending", attempt=2), "scheduled": store(app, "pending", ago=-3600)}

    for state, id in made.items():
        with manager_of(app).log.read() as connection:
            event = connection.scalar(select(deliveries.c.event_id).where(deliveries.c.id == id))
        for path in ("runs", f"runs/{id}", f"events/{event}?tab=jobs", f"chains/{event}", f"events?panel={event}"):
            page = client.get(f"/condor/{path}").text
            assert f"state-{state}" in page and "state-pending" not in page, path
    assert not {"ok", "partial", "failed", "orphan", "none"} & set(reading.STATES)
