"""Rows that are ticked in a list: previewed, confirmed, and done by a worker, to these rows and no others."""

from __future__ import annotations

import html
import re
from pathlib import Path
from urllib.parse import urlencode

import pytest
from flask.testing import FlaskClient
from flask_condor import EventsManager
from flask_condor.models import events
from sqlalchemy import select

from tests.dashboard.apps import ADA
from tests.dashboard.apps import USERS
from tests.dashboard.apps import make_app
from tests.dashboard.apps import manager_of
from tests.dashboard.apps import press
from tests.dashboard.apps import token_of
from tests.dashboard.test_operations_pages import CHOSEN
from tests.dashboard.test_operations_pages import NEW
from tests.dashboard.test_operations_pages import ONCE
from tests.dashboard.test_operations_pages import fire
from tests.dashboard.test_operations_pages import seen
from tests.dashboard.test_operations_pages import state_of
from tests.dashboard.test_operations_pages import work
from tests.databases import queued

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


def path_of(kind: str, *ticked: tuple[str, object]) -> str:
    return f"{NEW}?{urlencode([('selected', 1), ('kind', kind), *ticked])}"


def begin(client: FlaskClient, kind: str, path: str, **fields: str) -> int:
    page = seen(client, path)
    (chosen,), (once,) = CHOSEN.findall(page), ONCE.findall(page)
    given = {"chosen": html.unescape(chosen), "once": once, "title": "these"} | fields
    return press(client, f"/condor/operations/{kind}", token_of(client, path, auth=ADA), given, auth=ADA).status_code


def test_a_row_of_each_list_has_a_box_and_the_form_that_is_of_it_says_what_can_be_done(
    manager: EventsManager, client: FlaskClient
) -> None:
    fire(manager, 2)

    found, runs = seen(client, "/condor/events?period=24h"), seen(client, "/condor/runs")

    assert BUTTON.findall(found) == ["replay", "retry", "cancel"]
    assert BOX.findall(found) == [("id", id) for id in reversed(ids_in(manager))]
    assert BUTTON.findall(runs) == ["retry", "cancel", "purge"]
    assert BOX.findall(runs) == [("run", "2"), ("run", "1")]
    assert '<form id="selected" method="get" action="/condor/operations/new?period=24h"' in found
    assert '<input type="hidden" name="period" value="24h"><input type="hidden" name="selected"' in found


def test_the_ticked_runs_are_previewed_confirmed_and_retried_and_no_others(
    manager: EventsManager, client: FlaskClient
) -> None:
    fire(manager, 3)
    path = path_of("retry", ("run", 1), ("run", 3))

    page = seen(client, path)

    assert "Retry 2?" in page and "deliveries that can be retried among the 2 selected: 1, 3" in page
    assert 'value="Retry 2 selected"' in page and "Failure number" not in page
    assert begin(client, "retry", path) == 303
    work(manager)
    assert [row.state for row in queued(manager)] == ["done", "dead", "done"] and state_of(manager) == ("done", 2)
    assert "among the 2 selected: 1, 3" in seen(client, "/condor/operations/1") + seen(client, "/condor/operations")


@pytest.mark.parametrize(("kind", "asked"), [("replay", "Replay 2?"), ("cancel", "Cancel 2?"), ("retry", None)])
def test_the_ticked_events_are_previewed(
    manager: EventsManager, client: FlaskClient, kind: str, asked: str | None
) -> None:
    fire(manager, 3, state="pending")

    page = seen(client, path_of(kind, *(("id", id) for id in ids_in(manager)[:2])))

    assert (asked or "Nothing is left to do.") in page


def test_another_period_of_the_preview_is_of_the_same_rows(manager: EventsManager, client: FlaskClient) -> None:
    fire(manager, 2)

    page = seen(client, path_of("retry", ("run", 1), ("run", 2)))

    assert 'href="/condor/operations/new?selected=1&amp;kind=retry&amp;run=1&amp;run=2&amp;period=7d"' in page
    assert page.count('<input type="hidden" name="run"') == 2


@pytest.mark.parametrize(
    ("kind", "ticked", "told"),
    [
        ("retry", [], "Nothing is selected"),
        ("replay", [("run", 1)], "Runs are selected"),
        ("purge", [("id", "a")], "Events are selected"),
        ("moon", [("run", 1)], "none of"),
        ("retry", [("run", "x")], "no whole number"),
        ("retry", [("id", "\0")], "no text"),
        ("retry", [("run", n) for n in range(1, 1002)], "at most 1,000"),
    ],
)
def test_what_cannot_be_selected_is_told_and_never_taken_for_all(
    manager: EventsManager, client: FlaskClient, kind: str, ticked: list[tuple[str, object]], told: str
) -> None:
    fire(manager)

    answer = client.get(path_of(kind, *ticked), auth=ADA)

    assert answer.status_code == 400 and told in html.unescape(answer.text) and "Retry 1?" not in answer.text


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

    assert begin(client, "retry", path_of("retry", ("run", 1)), chosen=chosen) == 409
    assert "No operation" in seen(client, "/condor/operations")


def test_who_may_do_none_of_it_has_no_boxes_and_no_preview_to_confirm(tmp_path: Path) -> None:
    app = make_app(tmp_path, authorize=lambda action, request: action == "view")
    fire(manager_of(app))
    client = app.test_client()

    assert 'checkbox" form' not in client.get("/condor/events").text + client.get("/condor/runs").text
    page = client.get(path_of("retry", ("run", 1))).text
    assert "You are not allowed to do that." in page and "Begin</button>" not in page
    for kind in ("retry", "replay", "purge", "cancel"):
        assert client.post(f"/condor/operations/{kind}", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 403
