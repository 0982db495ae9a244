"""The screen Operations: choose, see how many, confirm, follow and abort; each kind needs its own permission."""

from __future__ import annotations

import html
import json
import re
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Request
from flask.testing import FlaskClient
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor.bulk_operations import operation_of
from flask_condor.models import bulk_operations
from flask_condor.models import deliveries
from flask_condor.plan import Plan
from flask_condor.worker import Worker
from sqlalchemy import update

from tests.dashboard.apps import ADA
from tests.dashboard.apps import USERS
from tests.dashboard.apps import make_app
from tests.dashboard.apps import manager_of
from tests.dashboard.apps import press
from tests.dashboard.apps import token_of
from tests.databases import queued

NEW = "/condor/operations/new"
CHOSEN = re.compile(r'name="chosen" value="([^"]*)"')
ONCE = re.compile(r'name="once" value="([^"]*)"')


@pytest.fixture
def manager(database_url: str, tmp_path: Any) -> Iterator[EventsManager]:
    manager = manager_of(make_app(tmp_path, users=USERS, CONDOR_DATABASE_URL=database_url))
    yield manager
    manager.log.engine.dispose()


@pytest.fixture
def client(manager: EventsManager) -> FlaskClient:
    return manager.app.test_client()


def fire(manager: EventsManager, times: int = 1, state: str = "dead") -> None:
    with manager.app.app_context():
        for _ in range(times):
            manager.fire(Event("user.registered", {}))
    with manager.log.begin() as connection:
        ended = update(deliveries).where(deliveries.c.state == "pending")
        connection.execute(ended.values(state=state, finished_at=time.time(), attempt=5))


def seen(client: FlaskClient, path: str) -> str:
    response = client.get(path, auth=ADA)
    assert response.status_code == 200, response.text
    return response.text


def begun(client: FlaskClient, kind: str, query: str, title: str = "after the outage") -> Any:
    page = seen(client, f"{NEW}?kind={kind}&count=1&{query}")
    (chosen,), (once,) = CHOSEN.findall(page), ONCE.findall(page)
    fields = {"chosen": html.unescape(chosen), "title": title, "once": once}
    return press(
        client,
        f"/condor/operations/{kind}",
        token_of(client, NEW + f"?kind={kind}&count=1&{query}", auth=ADA),
        fields,
        auth=ADA,
    )


def work(manager: EventsManager) -> None:
    once = Worker(manager, Plan(threads=1, once=True, replaceable=False))
    once.open()
    once.run()


def state_of(manager: EventsManager, number: int = 1) -> tuple[str, int]:
    with manager.log.read() as connection:
        found = operation_of(connection, number)
    assert found is not None
    return found.state, found.done


def test_no_operation_yet_says_what_to_do(client: FlaskClient) -> None:
    page = seen(client, "/condor/operations")

    assert "No operation has been begun." in page and "--in-worker" in page and "New operation" in page


@pytest.mark.parametrize(
    ("kind", "query", "asked"),
    [
        ("retry", "event=user.registered&job=send_mail", "Retry 3?"),
        ("replay", "event=user.registered&from=2020-01-01T00:00", "Replay 3?"),
        ("purge", "before=2030-01-01T00:00&state=dead", "Delete 3?"),
    ],
)
def test_many_are_chosen_counted_confirmed_and_done_by_a_worker(
    manager: EventsManager, client: FlaskClient, kind: str, query: str, asked: str
) -> None:
    fire(manager, 3)
    assert asked in seen(client, f"{NEW}?kind={kind}&count=1&{query}")

    answer = begun(client, kind, query)
    assert answer.status_code == 303 and answer.headers["Location"].endswith("/condor/operations/1")
    page = seen(client, "/condor/operations/1")
    assert "0 of 3 done" in page and "Abort" in page and "It waits for a worker" in page and "ada" in page

    work(manager)

    page = seen(client, "/condor/operations/1")
    assert "3 of 3 done" in page and "state-done" in page and "Abort" not in page
    assert "after the outage" in seen(client, "/condor/operations") and state_of(manager) == ("done", 3)


@pytest.mark.parametrize("is_done", [False, True])
def test_a_form_sent_again_begins_no_other_operation(
    manager: EventsManager, client: FlaskClient, is_done: bool
) -> None:
    fire(manager, 2)
    path = f"{NEW}?kind=replay&count=1&event=user.registered"
    token, page = token_of(client, path, auth=ADA), seen(client, path)
    (chosen,), (once,) = CHOSEN.findall(page), ONCE.findall(page)
    fields = {"chosen": html.unescape(chosen), "title": "again", "once": once}

    first = press(client, "/condor/operations/replay", token, fields, auth=ADA)
    if is_done:
        work(manager)
    second = press(client, "/condor/operations/replay", token, fields, auth=ADA)

    assert first.headers["Location"] == second.headers["Location"]
    assert 'href="/condor/operations/2"' not in seen(client, "/condor/operations")


def test_the_filter_is_fixed_where_it_is_counted(manager: EventsManager, client: FlaskClient) -> None:
    fire(manager, 2)
    page = seen(client, f"{NEW}?kind=replay&count=1&event=user.registered")
    (chosen,) = CHOSEN.findall(page)

    fixed = json.loads(html.unescape(chosen))

    assert fixed["until"] is not None and fixed["since"] == 0


def test_an_operation_is_aborted_by_its_button(manager: EventsManager, client: FlaskClient) -> None:
    fire(manager, 2)
    begun(client, "retry", "")
    abort = "/condor/operations/1/abort"

    assert press(client, abort, token_of(client, "/condor/operations/1", auth=ADA), auth=ADA).status_code == 303
    work(manager)

    assert state_of(manager) == ("aborted", 0) and [row.state for row in queued(manager)] == ["dead"] * 2
    assert "state-aborted" in seen(client, "/condor/operations/1")
    token = token_of(client, NEW + "?kind=retry&count=1", auth=ADA)
    assert press(client, "/condor/operations/9/abort", token, auth=ADA).status_code == 409


def test_what_is_left_out_and_why_is_shown_as_text(manager: EventsManager, client: FlaskClient) -> None:
    fire(manager)
    begun(client, "retry", "", title="<script>x</script>")
    with manager.log.begin() as connection:
        failed = {"state": "failed", "error": "<script>y</script>", "left_out": 4, "finished_at": 1.0}
        connection.execute(update(bulk_operations).values(failed))

    for path in ("/condor/operations", "/condor/operations/1"):
        page = seen(client, path)
        assert "<script>x" not in page and "<script>y" not in page and "&lt;script&gt;y" in page and "4" in page


def test_nothing_chosen_is_told_and_a_wrong_choice_too(manager: EventsManager, client: FlaskClient) -> None:
    assert "Nothing is chosen." in seen(client, f"{NEW}?kind=retry&count=1")
    assert "no job to replay" in seen(client, f"{NEW}?kind=replay&count=1&event=unknown")
    for query in (
        *("kind=moon", "kind=replay&count=1", "kind=purge&count=1&before=soon", "kind=purge&count=1&state=pending"),
        *("kind=retry&count=1&failure=x", "kind=replay&count=1&event=a&from=2026-01-02T00:00&to=2026-01-01T00:00"),
    ):
        assert client.get(f"{NEW}?{query}", auth=ADA).status_code == 400, query
    assert client.get("/condor/operations/7", auth=ADA).status_code == 404
    assert client.get("/condor/operations?cursor=x", auth=ADA).status_code == 400


@pytest.mark.parametrize(
    "chosen",
    ["", "{", "[]", '{"kind": "purge", "before": 1}', '{"kind": "retry", "event": "\\u0000"}', "[" * 5000],
)
def test_a_form_that_was_changed_begins_nothing(manager: EventsManager, client: FlaskClient, chosen: str) -> None:
    fire(manager)
    token = token_of(client, NEW + "?kind=retry&count=1", auth=ADA)
    fields = {"chosen": chosen, "title": "x", "once": str(uuid.uuid4())}

    answer = press(client, "/condor/operations/retry", token, fields, auth=ADA)

    assert answer.status_code == 409 and "No operation" in seen(client, "/condor/operations")


def test_operations_come_in_pages_and_files(manager: EventsManager, client: FlaskClient) -> None:
    fire(manager)
    begun(client, "retry", "")
    with manager.log.begin() as connection:
        row = {"bus": "default", "kind": "purge", "actor": "ada", "state": "done", "total": 1, "done": 1, "left_out": 0}
        row |= {"chosen": '{"kind": "purge", "before": 1.0}', "place": "[]", "created_at": 1.0, "finished_at": 2.0}
        connection.execute(bulk_operations.insert(), [row | {"title": f"old {n}"} for n in range(60)])

    first = seen(client, "/condor/operations")
    following = first.partition('rel="next"')[0].rpartition('href="')[2].partition('"')[0].replace("&amp;", "&")
    assert first.count("old ") // 2 == 50 and seen(client, following).count("old ") // 2 == 10
    assert len(json.loads(seen(client, "/condor/operations?format=json"))["rows"]) == 61
    assert seen(client, "/condor/operations?format=csv").startswith("operation,title")


@pytest.mark.parametrize("allowed", ["retry", "replay", "purge"])
def test_each_kind_needs_its_own_permission(tmp_path: Any, allowed: str) -> None:
    def authorize(action: str, request: Request) -> bool:
        return action in ("view", allowed)

    app = make_app(tmp_path, authorize=authorize)
    fire(manager_of(app), 1)
    client = app.test_client()
    tabs = re.findall(r">(Retry|Replay|Purge)</a>", client.get(NEW).text)
    same_site = {"Sec-Fetch-Site": "same-origin"}

    assert tabs == [allowed.capitalize()]
    for kind in {"retry", "replay", "purge"} - {allowed}:
        assert client.post(f"/condor/operations/{kind}", headers=same_site).status_code == 403
    assert client.post("/condor/operations/1/abort", headers=same_site).status_code == 403


def test_a_page_that_is_polled_is_made_anew_as_the_operation_goes_on(
    manager: EventsManager, client: FlaskClient
) -> None:
    fire(manager, 3)
    begun(client, "retry", "")
    path = "/condor/operations/1"
    seen(client, path)
    first = client.get(path, auth=ADA).headers["ETag"]
    with manager.log.begin() as connection:
        connection.execute(update(bulk_operations).values(done=2, started_at=1.0, state="running"))

    second = client.get(path, auth=ADA, headers={"If-None-Match": first})

    assert second.status_code == 200 and "2 of 3 done" in second.text
