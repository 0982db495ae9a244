"""The dashboard by keyboard alone, and the theme that one has chosen."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page
from playwright.sync_api import expect

from tests.browser.conftest import Theme
from tests.browser.conftest import Visit

IS_DARK = "getComputedStyle(document.body).backgroundColor === 'rgb(20, 24, 29)'"
OUTLINE = "getComputedStyle(document.activeElement).outlineStyle"


@pytest.fixture
def page(dashboard: str, visit: Callable[..., Visit]) -> Page:
    page = visit().page
    page.goto(f"{dashboard}/events")
    return page


def test_a_slash_leads_to_the_search(page: Page) -> None:
    page.keyboard.press("/")

    expect(page.get_by_label("Search events and runs")).to_be_focused()
    expect(page.get_by_label("Search events and runs")).to_have_value("")


def test_rows_are_walked_and_opened_by_keys(page: Page) -> None:
    links = page.locator("main table[data-rows] tbody td.wide a")

    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")

    expect(links.nth(1)).to_be_focused()
    second = links.nth(1).get_attribute("data-panel")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/events?panel={second}")
    expect(page.locator("#panel")).to_be_focused()


@pytest.mark.parametrize(("key", "path"), [("o", "/"), ("e", "/events"), ("f", "/failures"), ("q", "/queue")])
def test_g_and_a_letter_lead_to_a_screen(page: Page, dashboard: str, key: str, path: str) -> None:
    page.goto(f"{dashboard}/system")

    page.keyboard.press("g")
    page.keyboard.press(key)

    page.wait_for_url(f"{dashboard}{path}")


def test_every_screen_has_a_key_of_its_own(page: Page) -> None:
    keys = page.locator(".side a").evaluate_all("links => links.map(link => link.dataset.key)")

    assert len(set(keys)) == len(keys)


def test_a_question_mark_tells_the_keys_and_has_the_switch_that_turns_them_off(page: Page) -> None:
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()

    page.get_by_role("switch", name="Single-key shortcuts").uncheck()
    page.get_by_role("button", name="Close").click()
    page.keyboard.press("/")
    page.keyboard.press("?")

    expect(page.get_by_label("Search events and runs")).not_to_be_focused()
    expect(page.get_by_role("dialog")).to_be_hidden()

    page.reload()
    page.keyboard.press("/")
    expect(page.get_by_label("Search events and runs")).not_to_be_focused()


def test_no_key_acts_while_one_types(page: Page) -> None:
    page.keyboard.press("/")

    page.keyboard.type("g?tj/")

    expect(page.get_by_label("Search events and runs")).to_have_value("g?tj/")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_the_first_tab_skips_to_the_content(page: Page) -> None:
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()

    page.keyboard.press("Enter")

    expect(page.get_by_role("main")).to_be_focused()


def test_the_focus_is_seen_wherever_tab_leads(page: Page) -> None:
    seen = []
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.append((page.evaluate("document.activeElement.outerHTML.slice(0, 90)"), page.evaluate(OUTLINE)))

    assert [element for element, outline in seen if outline == "none"] == []


@pytest.mark.parametrize("system", ["light", "dark"])
def test_the_theme_is_the_systems_until_another_is_chosen_which_stays(
    dashboard: str, visit: Callable[..., Visit], system: Theme
) -> None:
    page = visit(system).page
    page.goto(f"{dashboard}/events")
    assert page.evaluate(IS_DARK) is (system == "dark")

    switch = page.locator("#theme")
    switch.click()
    expect(switch).to_have_text("◐Light")
    assert not page.evaluate(IS_DARK)
    switch.click()
    expect(switch).to_have_text("◐Dark")
    page.goto(f"{dashboard}/runs")

    assert page.evaluate(IS_DARK)
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"

    page.locator("#theme").click()
    assert page.evaluate(IS_DARK) is (system == "dark")
