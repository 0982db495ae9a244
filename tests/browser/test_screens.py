"""Every screen, as a browser shows it: accessible in both themes, within a phone's width, and without scripts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from flask import Flask
from flask_condor import EventsManager
from flask_condor.models import deliveries
from flask_condor.models import events
from flask_condor.models import failures
from playwright.sync_api import expect
from sqlalchemy import func
from sqlalchemy import select

from tests.browser.conftest import Theme
from tests.browser.conftest import Visit

SCREENS = {
    "overview": "/",
    "events": "/events",
    "events-panel": "/events?panel={event}",
    "events-failed": "/events?status=failed&name=order.*",
    "event-payload": "/events/{event}",
    "event-jobs": "/events/{event}?tab=jobs",
    "event-chain": "/events/{event}?tab=chain",
    "event-http": "/events/{event}?tab=http",
    "event-audit": "/events/{event}?tab=audit",
    "event-raw": "/events/{event}?view=raw",
    "event-replay": "/events/{event}?tab=replay",
    "chain": "/chains/{event}",
    "chain-panel": "/chains/{event}?panel={event}",
    "chain-timeline": "/chains/{event}?view=timeline",
    "chain-table": "/chains/{event}?view=table",
    "runs": "/runs",
    "runs-dead": "/runs?state=dead",
    "run": "/runs/{run}",
    "failures": "/failures",
    "failure": "/failures/{failure}",
    "queue": "/queue",
    "catalogue": "/catalogue",
    "catalogue-event": "/catalogue/order.placed",
    "catalogue-fields": "/catalogue/user.registered",
    "operations": "/operations",
    "operation": "/operations/1",
    "operation-new": "/operations/new?kind=retry&count=1",
    "ingress": "/ingress",
    "ingress-refused": "/ingress?tab=refused",
    "ingress-tokens": "/ingress?tab=tokens",
    "ingress-send": "/ingress?tab=send",
    "system": "/system",
    "doctor": "/system/doctor",
    "audit": "/system/audit",
}

PHONE = 360
"""Pixels."""
ROWS = "main table:not(.u-legend) tbody tr"
"""Those of our own tables: uPlot adds one for the legend of a chart."""


def paths_of(shop: Flask) -> dict[str, str]:
    """Return the path of each screen below the dashboard's, with an event that led to others, and a dead run of it."""
    manager: EventsManager = shop.extensions["condor"]
    dead = select(deliveries.c.id, deliveries.c.event_id).where(deliveries.c.state == "dead")
    with manager.log.read() as connection:
        run, _ = connection.execute(dead.order_by(deliveries.c.attempt.desc())).first() or (0, "")
        led_to = select(events.c.root_id).group_by(events.c.root_id).order_by(func.count().desc())
        event, failure = connection.scalar(led_to), connection.scalar(select(func.min(failures.c.id)))
    return {name: path.format(event=event, run=run, failure=failure) for name, path in SCREENS.items()}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS)
def test_a_screen_is_accessible_and_no_script_of_it_fails(
    screen: str, theme: Theme, shop: Flask, dashboard: str, visit: Callable[..., Visit]
) -> None:
    seen = visit(theme)

    seen.page.goto(dashboard + paths_of(shop)[screen])
    seen.page.wait_for_load_state("networkidle")

    seen.keep(f"{screen}-{theme}")
    found = Axe().run(seen.page)
    assert not found.violations_count, found.generate_report()
    assert not seen.troubles


@pytest.mark.parametrize("screen", SCREENS)
def test_a_screen_fits_a_phone_and_no_script_of_it_fails(
    screen: str, shop: Flask, dashboard: str, visit: Callable[..., Visit]
) -> None:
    seen = visit(width=PHONE)

    seen.page.goto(dashboard + paths_of(shop)[screen])
    seen.page.wait_for_load_state("networkidle")

    seen.keep(f"{screen}-phone")
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= PHONE
    assert not seen.troubles


@pytest.mark.parametrize("screen", SCREENS)
def test_a_screen_says_the_same_without_scripts(
    screen: str, shop: Flask, dashboard: str, visit: Callable[..., Visit]
) -> None:
    path = dashboard + paths_of(shop)[screen]
    with_scripts, without = visit(), visit(scripts=False)

    with_scripts.page.goto(path)
    without.page.goto(path)

    heading = without.page.locator("h1")
    assert heading.inner_text() == with_scripts.page.locator("h1").inner_text()
    assert without.page.locator(ROWS).count() == with_scripts.page.locator(ROWS).count()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_unfolds_is_accessible(theme: Theme, shop: Flask, dashboard: str, visit: Callable[..., Visit]) -> None:
    seen = visit(theme)
    seen.page.goto(dashboard + paths_of(shop)["run"])
    for text in ("Custom", "Forget"):
        seen.page.locator("summary", has_text=text).evaluate("one => { one.parentElement.open = true }")
    logged = seen.page.locator("summary", has_text="Log lines").all()
    for summary in logged:
        summary.click()
    unfolded = Axe().run(seen.page)
    seen.page.keyboard.press("?")
    expect(seen.page.get_by_role("dialog", name="Keyboard")).to_be_visible()

    helped = Axe().run(seen.page)

    assert logged
    assert not unfolded.violations_count, unfolded.generate_report()
    assert not helped.violations_count, helped.generate_report()


@pytest.mark.parametrize("path", ["/nothing", "/events?status=nothing", "/runs/999999", "/search?q=a:b"])
def test_a_page_that_says_what_is_wrong_is_accessible_too(
    path: str, dashboard: str, visit: Callable[..., Visit]
) -> None:
    seen = visit()

    seen.page.goto(dashboard + path)

    found = Axe().run(seen.page)
    assert not found.violations_count, found.generate_report()
