"""Rows that are ticked: all of a page at once, kept while they are ticked, and done as an operation; scripts or not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from flask import Flask
from flask_condor import EventsManager
from flask_condor.bulk_operations import operations_of
from flask_condor.dashboard.pages.events import ROWS as EVENTS
from flask_condor.dashboard.pages.runs import ROWS
from flask_condor.demo.shop import NEWSLETTER_OPENED
from playwright.sync_api import expect

from tests.browser.conftest import Theme
from tests.browser.conftest import Visit
from tests.browser.test_screens import PHONE

A_LONG_TIME = 120_000
"""Milliseconds, by the page's own clock."""


@pytest.mark.parametrize("scripts", [True, False])
def test_the_ticked_runs_and_no_others_are_in_the_operation(
    own_shop: Flask, own_dashboard: str, visit: Callable[..., Visit], *, scripts: bool
) -> None:
    manager: EventsManager = own_shop.extensions["condor"]
    page = visit(scripts=scripts).page
    page.goto(f"{own_dashboard}/runs?state=dead")
    boxes = page.get_by_role("checkbox", name="Select run")
    first, third = (boxes.nth(n).get_attribute("value") for n in (0, 2))
    boxes.nth(0).check()
    boxes.nth(2).check()

    page.get_by_role("button", name="Retry…").click()
    page.get_by_role("button", name="Begin").click()

    expect(page.get_by_role("status")).to_contain_text("Began operation")
    with manager.log.read() as connection:
        (begun,) = operations_of(connection, 2)
    assert begun.chosen == f'{{"kind":"retry-selected","ids":[{first},{third}]}}'


@pytest.mark.parametrize("scripts", [True, False])
def test_a_whole_page_of_the_longest_ids_is_asked_about_by_a_short_url(
    own_shop: Flask, own_dashboard: str, visit: Callable[..., Visit], *, scripts: bool
) -> None:
    manager: EventsManager = own_shop.extensions["condor"]
    with own_shop.app_context():
        for number in range(EVENTS):
            manager.emit(NEWSLETTER_OPENED, id=f"{number:03}{'x' * 252}")
    manager.queueing.flush()
    page = visit(scripts=scripts).page
    page.goto(f"{own_dashboard}/events?name={NEWSLETTER_OPENED}")
    for box in page.get_by_role("checkbox", name=f"Select {NEWSLETTER_OPENED}").all():
        box.check()

    page.get_by_role("button", name="Replay…").click()

    expect(page.get_by_role("heading", name=f"Replay {EVENTS}?")).to_be_visible()
    assert len(page.url) < 200
    page.reload()
    page.get_by_role("button", name="Begin").click()
    expect(page.get_by_role("status")).to_contain_text("Began operation")


@pytest.mark.parametrize(("theme", "width"), [("light", 1440), ("dark", 1440), ("light", PHONE)])
def test_what_is_asked_of_the_ticked_rows_is_accessible_and_fits(
    theme: Theme, width: int, dashboard: str, visit: Callable[..., Visit]
) -> None:
    seen = visit(theme, width)
    seen.page.goto(f"{dashboard}/runs?state=dead")
    seen.page.get_by_label("Select all rows of this page").check()

    seen.page.get_by_role("button", name="Retry…").click()

    expect(seen.page.get_by_role("button", name="Begin")).to_be_visible()
    seen.keep(f"operation-selected-{theme}-{width}")
    found = Axe().run(seen.page)
    assert not found.violations_count, found.generate_report()
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    assert not seen.troubles


def test_one_box_ticks_all_of_the_page_and_nothing_moves_while_any_is_ticked(
    dashboard: str, visit: Callable[..., Visit]
) -> None:
    seen = visit()
    page = seen.page
    page.clock.install()
    page.goto(f"{dashboard}/runs")
    boxes, every = page.locator("td.pick input"), page.get_by_label("Select all rows of this page")
    polls: list[str] = []
    page.on("request", lambda asked: polls.append(asked.url) if asked.resource_type == "fetch" else None)

    every.check()
    expect(page.get_by_text(f"With the {ROWS} selected")).to_be_visible()
    boxes.first.uncheck()

    expect(page.get_by_text(f"With the {ROWS - 1} selected")).to_be_visible()
    assert every.evaluate("one => one.indeterminate")
    page.evaluate("document.activeElement.blur()")
    page.clock.run_for(A_LONG_TIME)
    assert not polls

    every.check()
    every.uncheck()

    expect(page.get_by_text("With the selected")).to_be_visible()
    assert not page.locator("td.pick input:checked").count()
    assert not seen.troubles


def test_a_box_stays_ticked_when_an_event_is_shown_beside_the_list(dashboard: str, visit: Callable[..., Visit]) -> None:
    page = visit().page
    page.goto(f"{dashboard}/events")
    page.locator("td.pick input").nth(1).check()

    page.locator("td.wide a").nth(1).click()

    expect(page.get_by_role("region")).to_be_focused()
    expect(page.locator("td.pick input").nth(1)).to_be_checked()
    expect(page.get_by_label("Select all rows of this page")).to_be_visible()
