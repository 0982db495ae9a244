"""Pages that keep up with the log: what changed appears without a reload, and nothing that one was at is lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor.dashboard.polling import POLLED
from flask_condor.demo.shop import ORDER_PLACED
from flask_condor.demo.shop import USER_REGISTERED
from flask_condor.demo.shop import UserRegistered
from flask_condor.models import events
from playwright.sync_api import Page
from playwright.sync_api import expect
from sqlalchemy import select

from tests.browser.conftest import Visit

LINKS = "main table[data-rows] tbody td.wide a"
A_LONG_TIME = 120_000
"""Milliseconds, by the page's own clock."""
HIDE = "Object.defineProperty(document, 'hidden', {get: () => true})"


@pytest.fixture
def fire(own_shop: Flask) -> Callable[[], str]:
    def fire_one() -> str:
        manager: EventsManager = own_shop.extensions["condor"]
        with own_shop.app_context():
            return manager.fire(Event(USER_REGISTERED, UserRegistered(7, "ada@example.com"))).id

    return fire_one


def polls_of(page: Page) -> list[str]:
    """Return the list to which every live request of *page* is going to be added."""
    polls: list[str] = []
    page.on("request", lambda asked: polls.append(asked.url) if asked.resource_type == "fetch" else None)
    return polls


def morphed(page: Page) -> None:
    """Wait until the page has been brought up to date."""
    page.evaluate("new Promise(done => document.addEventListener('htmx:after:swap', () => done(), {once: true}))")


def test_an_open_page_is_told_from_a_person_by_what_its_script_sends(
    own_dashboard: str, visit: Callable[..., Visit]
) -> None:
    page = visit().page
    sent: list[str | None] = []
    page.on("request", lambda asked: sent.append(asked.headers.get("hx-source")))

    page.goto(f"{own_dashboard}/events?poll=2")
    with page.expect_request(lambda asked: asked.resource_type == "fetch"):
        pass

    assert sent[0] is None and sent[-1] == POLLED


def test_a_new_event_appears_without_a_reload(
    own_dashboard: str, fire: Callable[[], str], visit: Callable[..., Visit]
) -> None:
    seen = visit()
    page = seen.page
    page.goto(f"{own_dashboard}/events?poll=2")
    page.evaluate("document.body.dataset.loaded = 'once'")

    id = fire()

    expect(page.locator(f"{LINKS} >> nth=0")).to_have_attribute("href", f"/condor/events/{id}?poll=2")
    assert page.evaluate("document.body.dataset.loaded") == "once"
    assert not seen.troubles


def test_how_much_is_new_is_announced_and_not_every_row(
    own_dashboard: str, fire: Callable[[], str], visit: Callable[..., Visit]
) -> None:
    page = visit().page
    page.clock.install()
    page.goto(f"{own_dashboard}/events")
    news = page.locator("[aria-live=polite]#news")
    expect(news).to_be_empty()

    fire()
    fire()
    page.clock.run_for(6000)

    expect(news).to_contain_text("2 new rows")
    assert "user.registered" not in news.inner_text()


def test_the_focus_stays_on_the_row_that_it_was_on(
    own_dashboard: str, fire: Callable[[], str], visit: Callable[..., Visit]
) -> None:
    page = visit().page
    page.goto(f"{own_dashboard}/events?poll=2")
    page.keyboard.press("j")
    page.keyboard.press("j")
    at = page.evaluate("document.activeElement.href")

    id = fire()

    expect(page.locator(f"{LINKS} >> nth=0")).to_have_attribute("href", f"/condor/events/{id}?poll=2")
    assert page.evaluate("document.activeElement.href") == at
    assert page.evaluate("document.querySelector('tr.at a').href") == at


def test_what_was_unfolded_stays_so(
    own_shop: Flask, own_dashboard: str, fire: Callable[[], str], visit: Callable[..., Visit]
) -> None:
    manager: EventsManager = own_shop.extensions["condor"]
    with manager.log.read() as connection:
        id = connection.scalar(select(events.c.id).where(events.c.name == ORDER_PLACED).limit(1))
    page = visit().page
    page.goto(f"{own_dashboard}/events/{id}?poll=2")
    page.get_by_text("Copy as pytest case").click()
    page.locator(".tree summary").first.click()
    before = page.locator("main details").evaluate_all("all => all.map(one => one.open)")

    fire()
    morphed(page)

    assert page.locator("main details").evaluate_all("all => all.map(one => one.open)") == before
    assert set(before) == {True, False}


def test_nothing_is_asked_for_while_it_is_paused(own_dashboard: str, visit: Callable[..., Visit]) -> None:
    page = visit().page
    page.clock.install()
    page.goto(f"{own_dashboard}/events")
    polls = polls_of(page)

    page.get_by_role("button", name="Live").click()
    page.clock.run_for(A_LONG_TIME)

    assert not polls
    expect(page.get_by_role("button", name="Paused")).to_have_attribute("aria-pressed", "true")

    page.reload()
    page.clock.run_for(A_LONG_TIME)

    assert not polls

    with page.expect_request(lambda asked: asked.resource_type == "fetch"):
        page.get_by_role("button", name="Paused").click()
        page.clock.run_for(A_LONG_TIME)


def test_a_hidden_page_asks_for_nothing(own_dashboard: str, visit: Callable[..., Visit]) -> None:
    page = visit().page
    page.add_init_script(HIDE)
    page.clock.install()
    page.goto(f"{own_dashboard}/events")
    polls = polls_of(page)

    page.clock.run_for(A_LONG_TIME)

    assert not polls


def test_a_page_that_is_looked_at_asks_in_the_same_time(own_dashboard: str, visit: Callable[..., Visit]) -> None:
    page = visit().page
    page.clock.install()
    page.goto(f"{own_dashboard}/events")

    with page.expect_request(lambda asked: asked.resource_type == "fetch") as asked:
        page.clock.run_for(A_LONG_TIME)

    assert asked.value.url == f"{own_dashboard}/events"


def test_what_is_being_typed_is_left_alone(
    own_dashboard: str, fire: Callable[[], str], visit: Callable[..., Visit]
) -> None:
    page = visit().page
    page.clock.install()
    page.goto(f"{own_dashboard}/events")
    polls = polls_of(page)

    page.get_by_label("Event", exact=True).press_sequentially("order")
    fire()
    page.clock.run_for(A_LONG_TIME)

    expect(page.get_by_label("Event", exact=True)).to_have_value("order")
    assert not polls
