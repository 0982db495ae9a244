"""What a person does at the dashboard: retry, replay, pause; each is announced, done once, and audited."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from flask import Flask
from flask_condor import EventsManager
from flask_condor.demo.shop import ORDER_PLACED
from flask_condor.ingress.tokens import digest_of
from flask_condor.ingress.tokens import find
from flask_condor.log import Log
from flask_condor.models import audit
from flask_condor.models import deliveries
from flask_condor.models import events
from flask_condor.pauses import pauses_of
from playwright.sync_api import Page
from playwright.sync_api import expect
from sqlalchemy import Row
from sqlalchemy import select

from tests.browser.conftest import Visit


@pytest.fixture
def log(own_shop: Flask) -> Log:
    manager: EventsManager = own_shop.extensions["condor"]
    return manager.log


def row_of(log: Log, statement: Any) -> Row[Any]:
    with log.read() as connection:
        return connection.execute(statement).one()


def a_dead_run(log: Log) -> Row[Any]:
    dead = select(deliveries).where(deliveries.c.state == "dead", deliveries.c.run == "queued")
    return row_of(log, dead.order_by(deliveries.c.id).limit(1))


def an_order(log: Log) -> Row[Any]:
    return row_of(log, select(events).where(events.c.name == ORDER_PLACED).order_by(events.c.fired_at).limit(1))


def said(page: Page) -> str:
    """Return what a screen reader announces; the region for it is there before anything is said in it."""
    status = page.get_by_role("status")
    expect(status).not_to_be_empty()
    return status.inner_text()


def last_note(log: Log, action: str) -> Row[Any]:
    return row_of(log, select(audit).where(audit.c.action == action).order_by(audit.c.id.desc()).limit(1))


def press_in_menu(page: Page, label: str) -> None:
    """Press a button that asks whether one is sure, and say yes."""
    page.locator("summary", has_text=label).first.click()
    page.get_by_role("button", name=f"Yes: {label}").click()


def test_a_dead_run_is_retried(own_dashboard: str, log: Log, visit: Callable[..., Visit]) -> None:
    run = a_dead_run(log)
    page = visit().page
    page.goto(f"{own_dashboard}/runs/{run.id}")

    page.get_by_role("button", name="Retry").click()

    assert said(page) == f"Run {run.id} is retried."
    expect(page.get_by_role("heading", level=1)).to_contain_text("waiting")
    assert row_of(log, select(deliveries.c.state).where(deliveries.c.id == run.id)).state == "pending"
    note = last_note(log, "retry")
    assert (note.delivery_id, note.event_id, note.actor) == (run.id, run.event_id, "dashboard 127.0.0.1")
    assert json.loads(note.detail)["was"]["state"] == "dead"


def test_an_event_is_replayed_as_a_new_one(own_dashboard: str, log: Log, visit: Callable[..., Visit]) -> None:
    order = an_order(log)
    page = visit().page
    page.goto(f"{own_dashboard}/events/{order.id}")

    press_in_menu(page, "Replay")

    made = row_of(log, select(events).where(events.c.replay_of == order.id))
    assert said(page) == f"Replayed as event {made.id}."
    assert page.url.endswith(made.id)
    expect(page.get_by_role("main").get_by_role("link", name=order.id)).to_be_visible()
    assert made.payload == order.payload
    assert json.loads(last_note(log, "replay").detail)["replay"] == made.id


def test_a_wrong_payload_is_shown_with_its_faults_and_a_right_one_is_replayed(
    own_dashboard: str, log: Log, visit: Callable[..., Visit]
) -> None:
    order = an_order(log)
    wrong = json.dumps({"order_id": "<b>12</b>", "email": 1}, indent=1)
    right = json.loads(order.payload) | {"total_cents": 1, "coupon": "</textarea><b>"}
    page = visit().page
    page.goto(f"{own_dashboard}/events/{order.id}")
    page.get_by_role("button", name="Edit and replay").click()
    text = page.get_by_label("Payload, as JSON")

    text.fill(wrong)
    page.get_by_role("button", name="Replay with this payload").click()

    expect(page.get_by_role("alert")).to_contain_text("payload.order_id")
    expect(text).to_have_value(wrong)

    text.fill(json.dumps(right))
    page.get_by_role("button", name="Replay with this payload").click()

    made = row_of(log, select(events).where(events.c.replay_of == order.id))
    assert said(page) == f"Replayed with another payload, as event {made.id}."
    assert json.loads(made.payload) == right
    assert json.loads(last_note(log, "replay").detail)["is_edited"]


def test_text_that_is_no_json_is_kept_for_another_try(
    own_dashboard: str, log: Log, visit: Callable[..., Visit]
) -> None:
    order = an_order(log)
    page = visit().page
    page.goto(f"{own_dashboard}/events/{order.id}?tab=replay")
    text = page.get_by_label("Payload, as JSON")

    text.fill('\n{"order_id": 1,}')
    page.get_by_role("button", name="Replay with this payload").click()

    expect(page.get_by_role("alert")).to_contain_text("Nothing was fired")
    expect(text).to_have_value('\n{"order_id": 1,}')


def test_a_queue_is_paused_and_resumed(own_dashboard: str, log: Log, visit: Callable[..., Visit]) -> None:
    page = visit().page
    page.goto(f"{own_dashboard}/queue")
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="default", exact=True))

    row.locator("summary", has_text="Pause").click()
    row.get_by_role("button", name="Yes: Pause").click()

    assert said(page).startswith("Paused queue default.")
    expect(row).to_contain_text("paused")
    with log.read() as connection:
        assert [(one.kind, one.name) for one in pauses_of(connection)] == [("queue", "default")]

    row.get_by_role("button", name="Resume").click()

    assert said(page) == "Resumed queue default."
    expect(row).not_to_contain_text("paused")
    with log.read() as connection:
        assert not list(pauses_of(connection))


def test_an_event_is_paused(own_dashboard: str, log: Log, visit: Callable[..., Visit]) -> None:
    page = visit().page
    page.goto(f"{own_dashboard}/queue")

    page.locator("form", has_text="Pause event").get_by_role("combobox").select_option("order.paid")
    page.get_by_role("button", name="Pause event").click()

    assert said(page).startswith("Paused event order.paid.")
    assert last_note(log, "pause").actor == "dashboard 127.0.0.1"


def test_a_token_is_made_and_copied_and_gone_on_the_next_page(
    own_dashboard: str, log: Log, visit: Callable[..., Visit]
) -> None:
    visited = visit(width=360)
    page = visited.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{own_dashboard}/ingress?tab=tokens")

    page.get_by_text("Make a token", exact=True).click()
    page.get_by_label("Name", exact=True).fill("new-partner")
    page.get_by_label("Events that it may send").fill("order.*")
    page.get_by_role("button", name="Make it").click()
    page.get_by_role("button", name="Copy").first.click()
    token = page.evaluate("navigator.clipboard.readText()")
    found_wrong = Axe().run(page)
    page.get_by_role("link", name="All tokens").click()

    expect(page.get_by_role("row").filter(has_text="new-partner")).to_contain_text("order.*")
    with log.read() as connection:
        found = find(connection, digest_of(token))
    assert found is not None and found[0].name == "new-partner"
    assert token not in page.content() and visited.troubles == []
    assert not found_wrong.violations_count, found_wrong.generate_report()


@pytest.mark.parametrize("width", [1440, 360])
def test_what_is_asked_in_the_last_row_of_a_table_is_all_seen(
    own_dashboard: str, visit: Callable[..., Visit], width: int
) -> None:
    page = visit(width=width).page
    page.goto(f"{own_dashboard}/failures")

    page.locator("td.acts summary").last.click()

    expect(page.get_by_role("button", name="Yes: Retry")).to_be_visible()
    hides = "one => getComputedStyle(one).overflowY !== 'visible' && one.scrollHeight > one.clientHeight"
    assert not page.locator(".table").evaluate(hides)
