"""Rows that are ticked: all of a page at once, kept while they are ticked, and done as an operation; scripts or not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask
from flask_condor import EventsManager
from flask_condor.bulk_operations import operations_of
from flask_condor.dashboard.pages.runs import ROWS
from playwright.sync_api import expect

from tests.browser.conftest import Visit

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
