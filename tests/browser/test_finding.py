"""Finding things: filters by form, by chip and by the search field, all of which stand in the URL."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Page
from playwright.sync_api import expect

from tests.browser.conftest import Visit

NAMES = "main table[data-rows] tbody td.wide a"


def submit_filters(page: Page) -> None:
    page.locator("form.filters").get_by_role("button", name="Filter").click()


def search(page: Page, text: str) -> None:
    page.get_by_label("Search events and runs").fill(text)
    page.get_by_label("Search events and runs").press("Enter")


def test_a_filter_is_set_by_the_form_and_taken_out_by_its_chip(dashboard: str, visit: Callable[..., Visit]) -> None:
    page = visit().page
    page.goto(f"{dashboard}/events")
    everything = set(page.locator(NAMES).all_inner_texts())

    page.get_by_label("Event", exact=True).fill("order.*")
    page.get_by_label("Status").select_option("partial")
    submit_filters(page)

    chips = page.get_by_role("list", name="Filters").get_by_role("listitem")
    expect(chips).to_contain_text(["Event: order.*", "Status: partial"])
    assert {name.split(".")[0] for name in page.locator(NAMES).all_inner_texts()} == {"order"}
    assert set(page.locator("main tbody .state").all_inner_texts()) == {"◐ partial"}

    page.get_by_label("Remove the filter Status").click()
    page.get_by_label("Remove the filter Event").click()

    expect(chips).to_have_count(0)
    assert set(page.locator(NAMES).all_inner_texts()) == everything


def test_a_copied_link_keeps_filter_page_and_period(dashboard: str, visit: Callable[..., Visit]) -> None:
    page = visit().page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{dashboard}/events")

    page.get_by_role("link", name="24 hours").click()
    page.get_by_label("Event", exact=True).fill("order.*")
    submit_filters(page)
    first = page.locator(f"{NAMES} >> nth=0").get_attribute("href")
    page.get_by_role("link", name="Next page").click()
    expect(page.locator(f"{NAMES} >> nth=0")).not_to_have_attribute("href", str(first))
    rows = page.locator(NAMES).evaluate_all("links => links.map(link => link.pathname)")
    page.get_by_role("button", name="Copy link").click()

    expect(page.get_by_role("status")).to_have_text("Copied.")
    colleague = visit().page
    colleague.goto(page.evaluate("navigator.clipboard.readText()"))
    assert colleague.locator(NAMES).evaluate_all("links => links.map(link => link.pathname)") == rows
    expect(colleague.get_by_role("list", name="Filters")).to_contain_text("order.*")
    expect(colleague.locator(".periods [aria-current]")).to_have_text("24 hours")


def test_the_search_field_takes_qualifiers(dashboard: str, visit: Callable[..., Visit]) -> None:
    page = visit().page
    page.goto(f"{dashboard}/")

    search(page, "name:order.placed payload.currency:EUR status:ok")

    chips = page.get_by_role("list", name="Filters").get_by_role("listitem")
    expect(chips).to_contain_text(["order.placed", "ok", "currency:EUR"])
    assert set(page.locator(NAMES).all_inner_texts()) == {"order.placed"}


def test_the_search_field_suggests_values_after_other_words_too(dashboard: str, visit: Callable[..., Visit]) -> None:
    visited = visit()
    page = visited.page
    page.goto(f"{dashboard}/")
    suggested = page.locator("#search-hints option")
    values = "options => options.map(option => option.value)"

    assert "name:order.placed" in suggested.evaluate_all(values)
    page.get_by_label("Search events and runs").fill('name:"a b" status:failed err')
    assert 'name:"a b" status:failed error:GatewayTimeout' in suggested.evaluate_all(values)
    page.get_by_label("Search events and runs").fill("er")

    assert "error:GatewayTimeout" in suggested.evaluate_all(values) and visited.troubles == []


def test_a_search_that_means_nothing_says_what_to_type_instead(dashboard: str, visit: Callable[..., Visit]) -> None:
    page = visit().page
    page.goto(f"{dashboard}/")

    search(page, "statu:failed")

    expect(page.get_by_role("main")).to_contain_text("Did you mean status:?")


def test_a_period_of_ones_own_is_kept_from_screen_to_screen(dashboard: str, visit: Callable[..., Visit]) -> None:
    page = visit().page
    page.goto(f"{dashboard}/events")
    page.get_by_text("Custom", exact=True).click()
    page.get_by_label("Since (UTC)").fill("2026-01-01T00:00")
    page.get_by_label("Until (UTC)").fill("2026-01-02T00:00")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("main")).to_contain_text("No event is like that here")

    page.get_by_role("navigation", name="Screens").get_by_role("link", name="Failures").click()

    expect(page.locator(".periods [aria-current]")).to_have_text("Custom")
    assert "since=2026-01-01T00" in page.url


def test_a_chart_tells_what_was_where_the_mouse_points(dashboard: str, visit: Callable[..., Visit]) -> None:
    page = visit().page
    page.goto(f"{dashboard}/")
    legend = page.locator(".legend").first
    expect(legend.locator("b").first).to_have_text("")

    page.locator("[data-chart] .u-over").first.hover()

    told = re.compile(r"done \d+.*retried \d+.*dead \d+.*from \d{4}-\d\d-\d\d \d\d:\d\d", re.DOTALL)
    expect(legend).to_contain_text(told)


def test_a_phone_shows_which_screen_it_is_however_far_right_its_name_stands(
    dashboard: str, visit: Callable[..., Visit]
) -> None:
    page = visit(width=360).page

    page.goto(f"{dashboard}/system")

    expect(page.locator(".side [aria-current]")).to_be_in_viewport(ratio=0.9)
    assert page.evaluate("scrollY") == 0
