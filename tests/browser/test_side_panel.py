"""The side panel: a glance at an event beside the list, that stays while the list goes on, and gives the focus back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor.demo.shop import USER_REGISTERED
from flask_condor.demo.shop import UserRegistered
from playwright.sync_api import Page
from playwright.sync_api import expect

from tests.browser.conftest import Visit

ROWS = "main table[data-rows] tbody tr"


@pytest.fixture
def page(own_dashboard: str, visit: Callable[..., Visit]) -> Page:
    page = visit().page
    page.goto(f"{own_dashboard}/events?poll=2")
    return page


def test_a_click_shows_the_event_beside_the_list_until_escape_gives_the_focus_back(
    page: Page, own_shop: Flask, own_dashboard: str
) -> None:
    manager: EventsManager = own_shop.extensions["condor"]
    link, panel = page.locator(f"{ROWS} >> nth=1").locator("td.wide a"), page.get_by_role("region")
    id, name = str(link.get_attribute("data-panel")), link.inner_text()
    shown = page.locator(f'a[data-panel="{id}"]')

    link.click()

    expect(panel).to_be_focused()
    expect(panel.get_by_role("heading", level=2)).to_contain_text(name)
    assert page.url == f"{own_dashboard}/events?poll=2&panel={id}"

    with own_shop.app_context():
        new = manager.fire(Event(USER_REGISTERED, UserRegistered(7, "ada@example.com"))).id

    expect(page.locator(f"{ROWS} >> nth=0")).to_have_id(f"event-{new}")
    expect(panel).to_be_focused()
    expect(panel).to_contain_text(id)

    page.keyboard.press("Escape")

    expect(panel).to_have_count(0)
    expect(shown).to_be_focused()
    assert page.url == f"{own_dashboard}/events?poll=2"


def test_another_click_shows_another_event_and_a_button_closes_the_panel(page: Page) -> None:
    links, panel = page.locator(f"{ROWS} td.wide a"), page.get_by_role("region")
    first, second = (str(links.nth(n).get_attribute("data-panel")) for n in range(2))
    links.nth(0).click()
    expect(panel).to_contain_text(first)

    links.nth(1).click()

    expect(panel).to_contain_text(second)
    expect(panel).not_to_contain_text(first)

    page.get_by_label("Close the panel").click()

    expect(panel).to_have_count(0)
    expect(links.nth(1)).to_be_focused()


def test_it_opens_though_live_updates_are_paused(page: Page) -> None:
    page.get_by_role("button", name="Live").click()

    page.locator(f"{ROWS} td.wide a").first.click()

    expect(page.get_by_role("region")).to_be_focused()


@pytest.mark.parametrize("click", [{"button": "middle"}, {"modifiers": ["Control"]}])
def test_a_click_that_opens_a_tab_opens_the_page_of_the_event(page: Page, click: dict[str, Any]) -> None:
    link = page.locator(f"{ROWS} td.wide a").first

    with page.context.expect_page() as opened:
        link.click(**click)

    assert opened.value.url.endswith(str(link.get_attribute("href")))
    expect(page.get_by_role("region")).to_have_count(0)


def test_a_node_of_a_chain_is_shown_beside_it(page: Page, own_dashboard: str) -> None:
    page.locator(f"{ROWS} a[href*='/chains/']").first.click()
    page.wait_for_url("**/chains/**")

    page.locator(".chain a[data-panel]").first.click()

    expect(page.get_by_role("region").get_by_role("link", name="Open page")).to_be_visible()
    assert "panel=" in page.url
