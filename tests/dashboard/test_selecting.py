"""Rows that are ticked in a list: previewed, confirmed, and done by a worker, to these rows and no others."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor.dashboard.links import BACK
from flask_condor.dashboard.pages.events import ROWS
from flask_condor.dashboard.same_site import COOKIE
from flask_condor.models import events
from markupsafe import escape
from sqlalchemy import select
from werkzeug.test import TestResponse

from tests.dashboard.apps import ADA
from tests.dashboard.apps import TOKEN
from tests.dashboard.apps import USERS
from tests.dashboard.apps import make_app
from tests.dashboard.apps import manager_of
from tests.dashboard.apps import press
from tests.dashboard.apps import token_of
from tests.dashboard.test_operations_pages import CHOSEN
from tests.dashboard.test_operations_pages import ONCE
from tests.dashboard.test_operations_pages import fire
from tests.dashboard.test_operations_pages import seen
from tests.dashboard.test_operations_pages import state_of
from tests.dashboard.test_operations_pages import work
from tests.databases import queued

SELECTED = "/condor/operations/selected"
BUTTON = re.compile(r'<button type="submit" name="kind" value="(\w+)">')
BOX = re.compile(r'<input type="checkbox" form="selected" name="(\w+)" value="([^"]+)"')


@pytest.fixture
def manager(tmp_path: Path) -> EventsManager:
    return manager_of(make_app(tmp_path, users=USERS))


@pytest.fixture
def client(manager: EventsManager) -> FlaskClient:
    return manager.app.test_client()


def ids_in(manager: EventsManager) -> list[str]:
    with manager.log.read() as connection:
        return list(connection.scalars(select(events.c.id).order_by(events.c.fired_at)))


def send(client: FlaskClient, kind: str, *ticked: tuple[str, object], query: str = "") -> TestResponse:
    """Send the form of a list with these boxes ticked."""
    token = token_of(client, "/condor/runs", auth=ADA)
    fields = {"kind": kind, "run": values_of("run", ticked), "id": values_of("id", ticked)}
    return press(client, f"{SELECTED}{query}", token, fields | {BACK: "/condor/runs"}, auth=ADA)


def values_of(name: str, ticked: Sequence[tuple[str, object]]) -> list[str]:
    return [str(value) for key, value in ticked if key == name]


def preview(client: FlaskClient, kind: str, *ticked: tuple[str, object]) -> str:
    response = send(client, kind, *ticked)
    assert response.status_code == 200, response.text
    return response.text


def begin(client: FlaskClient, kind: str, page: str, **fields: str) -> int:
    """Send the form of a preview."""
    (chosen,), (once,), token = CHOSEN.findall(page), ONCE.findall(page), TOKEN.search(page)
    assert token
    given = {"chosen": html.unescape(chosen), "once": once, "title": "these"} | fields
    return press(client, f"/condor/operations/{kind}", token[1], given, auth=ADA).status_code


def test_a_row_of_each_list_has_a_box_and_the_form_that_is_of_it_says_what_can_be_done(
    manager: EventsManager, client: FlaskClient
) -> None:
    fire(manager, 2)

    found, runs = seen(client, "/condor/events?period=24h"), seen(client, "/condor/runs")

    assert BUTTON.findall(found) == ["replay", "retry", "cancel"]
    assert BOX.findall(found) == [("id", id) for id in reversed(ids_in(manager))]
    assert BUTTON.findall(runs) == ["retry", "cancel", "purge"]
    assert BOX.findall(runs) == [("run", "2"), ("run", "1")]
    assert '<form id="selected" method="post" action="/condor/operations/selected?period=24h"' in found


def test_the_ticked_runs_are_previewed_confirmed_and_retried_and_no_others(
    manager: EventsManager, client: FlaskClient
) -> None:
    fire(manager, 3)

    page = preview(client, "retry", ("run", 1), ("run", 3))

    assert "Retry 2?" in page and "deliveries that can be retried among the 2 selected: 1, 3" in page
    assert 'value="Retry 2 selected"' in page and "Failure number" not in page
    assert begin(client, "retry", page) == 303
    work(manager)
    assert [row.state for row in queued(manager)] == ["done", "dead", "done"] and state_of(manager) == ("done", 2)
    assert "among the 2 selected: 1, 3" in seen(client, "/condor/operations/1") + seen(client, "/condor/operations")


@pytest.mark.parametrize(("kind", "asked"), [("replay", "Replay 2?"), ("cancel", "Cancel 2?"), ("retry", None)])
def test_the_ticked_events_are_previewed(
    manager: EventsManager, client: FlaskClient, kind: str, asked: str | None
) -> None:
    fire(manager, 3, state="pending")

    page = preview(client, kind, *(("id", id) for id in ids_in(manager)[:2]))

    assert (asked or "Nothing is left to do.") in page


def test_a_whole_page_of_the_longest_ids_is_previewed_and_replayed(manager: EventsManager, client: FlaskClient) -> None:
    ids = [f"{number:03}ü {'x' * 250}" for number in range(ROWS)]
    with manager.app.app_context():
        for id in ids:
            manager.fire(Event("user.registered", {}, id))

    ticked = BOX.findall(seen(client, "/condor/events"))
    page = preview(client, "replay", *ticked)

    assert {len(id) for _, id in ticked} == {255} and f"Replay {ROWS}?" in page
    assert begin(client, "replay", page) == 303
    work(manager)
    assert state_of(manager) == ("done", ROWS) and len(ids_in(manager)) == 2 * ROWS


def test_a_preview_changes_nothing_however_often_it_is_loaded(manager: EventsManager, client: FlaskClient) -> None:
    fire(manager)

    for _ in range(2):
        assert "Retry 1?" in preview(client, "retry", ("run", 1))

    assert "No operation" in seen(client, "/condor/operations")


def test_another_period_leads_from_the_preview_back_to_the_list(manager: EventsManager, client: FlaskClient) -> None:
    fire(manager)

    page = send(client, "retry", ("run", 1), query="?period=24h").text

    assert 'href="/condor/runs?period=7d"' in page and "/condor/operations/retry?period=24h" in page


def test_a_form_of_another_site_is_shown_no_preview(manager: EventsManager, client: FlaskClient) -> None:
    fire(manager)
    sent = {"condor_form": token_of(client, "/condor/runs", auth=ADA), "kind": "retry", "run": "1"}

    elsewhere = client.post(SELECTED, data=sent, headers={"Sec-Fetch-Site": "cross-site"}, auth=ADA)
    without_token = press(client, SELECTED, "x", sent | {"condor_form": "x"}, auth=ADA)

    assert [answer.status_code for answer in (elsewhere, without_token)] == [403, 403]
    assert client.get(SELECTED, auth=ADA).status_code == 404


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "'><img src=x onerror=y>"])
def test_an_id_that_is_no_id_is_shown_as_text(manager: EventsManager, client: FlaskClient, text: str) -> None:
    fire(manager)

    pages = preview(client, "retry", ("id", text)) + send(client, text).text

    assert escape(text) in pages and text not in pages


@pytest.mark.parametrize(
    ("status", "kind", "ticked", "told"),
    [
        (409, "retry", [], "Nothing is selected"),
        (409, "replay", [("run", 1)], "Runs are selected"),
        (409, "purge", [("id", "a")], "Events are selected"),
        (400, "moon", [("run", 1)], "none of"),
        (400, "retry", [("run", "x")], "no whole number"),
        (400, "retry", [("id", "\0")], "no text"),
        (400, "retry", [("id", "x" * 256)], "256 characters"),
        (409, "retry", [("run", n) for n in range(1, 1002)], "at most 1,000"),
    ],
)
def test_what_cannot_be_selected_is_told_and_never_taken_for_all(
    manager: EventsManager, client: FlaskClient, status: int, kind: str, ticked: list[tuple[str, object]], told: str
) -> None:
    fire(manager)

    answer = send(client, kind, *ticked)

    assert answer.status_code == status and told in html.unescape(answer.text) and "Retry 1?" not in answer.text


@pytest.mark.parametrize(
    "chosen",
    [
        '{"kind": "purge-selected", "ids": [1]}',
        '{"kind": "retry-selected", "ids": []}',
        '{"kind": "retry-selected", "ids": [0]}',
        '{"kind": "retry-selected", "ids": [9223372036854775808]}',
        '{"kind": "retry-selected"}',
    ],
)
def test_a_form_that_was_changed_on_its_way_begins_nothing(
    manager: EventsManager, client: FlaskClient, chosen: str
) -> None:
    fire(manager)

    assert begin(client, "retry", preview(client, "retry", ("run", 1)), chosen=chosen) == 409
    assert "No operation" in seen(client, "/condor/operations")


def test_who_may_do_none_of_it_has_no_boxes_and_no_preview_to_confirm(tmp_path: Path) -> None:
    app = make_app(tmp_path, authorize=lambda action, request: action == "view")
    fire(manager_of(app))
    client = app.test_client()

    assert 'checkbox" form' not in client.get("/condor/events").text + client.get("/condor/runs").text
    token = "x" * 43
    client.set_cookie(COOKIE, token, path="/condor")
    page = press(client, SELECTED, token, {"kind": "retry", "run": "1"}).text
    assert "You are not allowed to do that." in page and "Begin</button>" not in page
    for kind in ("retry", "replay", "purge", "cancel"):
        assert client.post(f"/condor/operations/{kind}", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 403
