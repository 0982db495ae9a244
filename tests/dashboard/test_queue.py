"""The screen Queue: what waits, is scheduled and runs, by queue, who works on it, and what is paused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask import Request
from flask.testing import FlaskClient
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor.dashboard.reading import backlog
from flask_condor.models import audit
from flask_condor.models import deliveries
from flask_condor.models import workers
from flask_condor.pauses import pauses_of
from flask_condor.presence import Presence
from flask_condor.presence import sign_in
from sqlalchemy import select
from sqlalchemy import update

from tests.dashboard.apps import ADA
from tests.dashboard.apps import USERS
from tests.dashboard.apps import make_app
from tests.dashboard.apps import manager_of
from tests.dashboard.apps import press
from tests.dashboard.apps import token_of
from tests.databases import queued


def deliver(event: Event[Any], ctx: Context) -> None:
    pass


@pytest.fixture
def manager(database_url: str, tmp_path: Any) -> Iterator[EventsManager]:
    app = make_app(tmp_path, users=USERS, CONDOR_DATABASE_URL=database_url)
    manager = manager_of(app)
    manager.register("order.paid", deliver, run="queued", queue="mail", priority=3)
    yield manager
    manager.log.engine.dispose()


@pytest.fixture
def client(manager: EventsManager) -> FlaskClient:
    return manager.app.test_client()


def seen(client: FlaskClient, path: str = "/condor/queue") -> str:
    response = client.get(path, auth=ADA)
    assert response.status_code == 200, response.text
    return response.text


def fire(manager: EventsManager, name: str = "user.registered", times: int = 1, **options: Any) -> None:
    with manager.app.app_context():
        for _ in range(times):
            manager.fire(Event(name, {}), **options)


def act(client: FlaskClient, action: str, **fields: str) -> Any:
    return press(client, f"/condor/queue/{action}", token_of(client, "/condor/queue", auth=ADA), fields, auth=ADA)


def test_an_empty_queue_says_what_to_do(client: FlaskClient) -> None:
    page = seen(client)

    assert '<tr id="queue-default">' in page and "No worker has been seen." in page
    assert "flask events worker" in page and "No queue and no event is paused." in page
    assert "Nothing is scheduled." in seen(client, "/condor/queue?tab=scheduled")
    assert "Nothing runs now." in seen(client, "/condor/queue?tab=running")


def test_what_waits_is_scheduled_and_runs_is_counted_by_queue(manager: EventsManager, client: FlaskClient) -> None:
    fire(manager, times=3)
    fire(manager, delay=60)
    fire(manager, "order.paid", times=2)
    with manager.log.begin() as connection:
        running = update(deliveries).where(deliveries.c.id == 1)
        connection.execute(running.values(state="running", worker="w", lease_until=1e10, started_at=1.0))

    with manager.log.read() as connection:
        lanes, run = list(backlog.lanes_of(connection)), backlog.running_of(connection)
        found = backlog.queues_of(connection, lanes, run)
        waits = backlog.waits_of(connection, lanes)

    assert sorted(lanes) == [("default", 0), ("mail", 3)]
    assert [(one.name, one.due, one.scheduled, one.running) for one in found] == [
        ("default", 2, 1, 1),
        ("mail", 2, 0, 0),
    ]
    assert sum(waits) == 4 and "4 waiting, no worker seen." in seen(client)
    assert seen(client, "/condor/queue?queue=mail").count("<td>mail</td>") == 2


def test_waits_are_counted_by_how_long_they_are(manager: EventsManager) -> None:
    fire(manager, times=3)
    with manager.log.begin() as connection:
        connection.execute(update(deliveries).where(deliveries.c.id == 1).values(due_at=deliveries.c.due_at - 30))
        connection.execute(update(deliveries).where(deliveries.c.id == 2).values(due_at=deliveries.c.due_at - 7200))

    with manager.log.read() as connection:
        waits = backlog.waits_of(connection, [("default", 0)])

    assert (waits[2], waits[-1], sum(waits)) == (1, 1, 3)


def test_a_worker_is_shown_with_what_it_runs(manager: EventsManager, client: FlaskClient) -> None:
    fire(manager)
    with manager.log.begin() as connection:
        sign_in(connection, Presence("web-1:77:abc", "web-1", 77, 4, ("default", "mail"), "1.2.3"))
        running = update(deliveries).values(state="running", worker="web-1:77:abc:alone", lease_until=1e10)
        connection.execute(running.values(started_at=1.0))

    page = seen(client)
    assert all(told in page for told in ("web-1", ">77<", ">1.2.3<", "1 of 4", "default, mail", "user.registered"))

    with manager.log.begin() as connection:
        connection.execute(update(workers).values(seen_at=1.0))
    assert "state-lost" in seen(client)


def test_scheduled_deliveries_come_in_pages_across_queues_and_can_be_run_now(
    manager: EventsManager, client: FlaskClient
) -> None:
    for seconds in range(60, 120):
        fire(manager, "order.paid" if seconds % 2 else "user.registered", delay=seconds)

    first = seen(client, "/condor/queue?tab=scheduled")
    following = first.partition('rel="next"')[0].rpartition('href="')[2].partition('"')[0].replace("&amp;", "&")
    second = seen(client, following)
    assert [page.count("Run now") for page in (first, second)] == [50, 10]

    form = token_of(client, "/condor/queue", auth=ADA), {"condor_back": "/condor/queue?tab=scheduled"}
    answer = press(client, "/condor/runs/1/run-now", *form, auth=ADA)
    assert 'action="/condor/runs/1/run-now"' in first and answer.location == "/condor/queue?tab=scheduled"
    assert "Run 1 is due now." in seen(client)
    assert queued(manager)[0].due_at < queued(manager)[1].due_at - 30
    press(client, "/condor/runs/1/run-now", *form, auth=ADA)
    assert "Run 1 does not wait for its time." in seen(client)


def test_a_queue_and_an_event_are_paused_and_resumed_by_a_form_and_audited(
    manager: EventsManager, client: FlaskClient
) -> None:
    fire(manager)
    assert act(client, "pause", kind="queue", name="mail").status_code == 303
    act(client, "pause", kind="event", name="user.registered")

    with manager.log.read() as connection:
        paused = [(one.kind, one.name, one.actor) for one in pauses_of(connection)]
    assert paused == [("event", "user.registered", "ada"), ("queue", "mail", "ada")]
    page = seen(client)
    assert page.count("state-paused") == 2 and "Resume" in page

    act(client, "resume", kind="queue", name="mail")
    assert "Resumed queue mail." in seen(client)
    with manager.log.read() as connection:
        assert [row.action for row in connection.execute(select(audit))] == ["pause", "pause", "resume"]


@pytest.mark.parametrize(
    "fields", [{}, {"kind": "moon", "name": "x"}, {"kind": "queue"}, {"kind": "event", "name": "\0"}]
)
def test_a_form_that_names_nothing_is_refused(client: FlaskClient, fields: dict[str, str]) -> None:
    assert act(client, "pause", **fields).status_code == 409 and act(client, "resume", **fields).status_code == 409
    assert act(client, "pause", kind="queue", name="mial").status_code == 409


@pytest.mark.parametrize("query", ["tab=moon", "cursor=x", "cursor=WyJ4IiwxXQ", "format=xml", "queue=%00"])
def test_a_query_that_means_nothing_is_told(client: FlaskClient, query: str) -> None:
    assert client.get(f"/condor/queue?{query}", auth=ADA).status_code == 400


def test_what_is_listed_is_exported(manager: EventsManager, client: FlaskClient) -> None:
    fire(manager, times=2)

    rows = json.loads(seen(client, "/condor/queue?format=json"))["rows"]

    assert [(row["delivery"], row["name"], row["queue"]) for row in rows] == [
        (1, "user.registered", "default"),
        (2, "user.registered", "default"),
    ]
    assert seen(client, "/condor/queue?format=csv").startswith("delivery,event,name")


def test_who_may_only_look_gets_no_buttons_and_is_refused(tmp_path: Any) -> None:
    def only_look(action: str, request: Request) -> bool:
        return action == "view"

    app: Flask = make_app(tmp_path, authorize=only_look)
    client = app.test_client()
    fire(manager_of(app), delay=60)

    page = client.get("/condor/queue?tab=scheduled").text
    assert "user.registered" in page and '<form method="post"' not in page
    for action in ("pause", "resume"):
        assert client.post(f"/condor/queue/{action}", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 403


def test_names_are_shown_as_text(tmp_path: Any) -> None:
    app = Flask("odd", instance_path=str(tmp_path))
    app.testing = True
    app.config |= {"CONDOR_DATABASE_URL": f"sqlite:///{tmp_path / 'c.db'}", "CONDOR_DASHBOARD_USERS": USERS}
    Condor(app)
    manager_of(app).register("<script>x</script>", deliver, run="queued")
    fire(manager_of(app), "<script>x</script>")

    page = app.test_client().get("/condor/queue", auth=ADA).text

    assert "<script>x" not in page and "&lt;script&gt;x" in page
