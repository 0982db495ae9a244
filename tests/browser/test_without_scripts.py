"""The dashboard where no script runs: links, forms and folding menus do the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask
from flask_condor import EventsManager
from flask_condor.demo.shop import ORDER_PLACED
from flask_condor.models import deliveries
from flask_condor.models import events
from playwright.sync_api import expect
from sqlalchemy import select

from tests.browser.conftest import Theme
from tests.browser.conftest import Visit

NAMES = "main table[data-rows] tbody td.wide a"


def test_events_are_filtered_and_paged(dashboard: str, visit: Callable[..., Visit]) -> None:
    page = visit(scripts=False).page
    page.goto(f"{dashboard}/events")

    page.get_by_label("Event", exact=True).fill("order.*")
    page.get_by_role("button", name="Filter").click()
    first = page.locator(NAMES).first.get_attribute("href")
    page.get_by_role("link", name="Next page").click()

    assert {name.split(".")[0] for name in page.locator(NAMES).all_inner_texts()} == {"order"}
    assert page.locator(NAMES).first.get_attribute("href") != first


def test_a_run_is_retried(own_shop: Flask, own_dashboard: str, visit: Callable[..., Visit]) -> None:
    manager: EventsManager = own_shop.extensions["condor"]
    dead = select(deliveries.c.id).where(deliveries.c.state == "dead", deliveries.c.run == "queued")
    with manager.log.read() as connection:
        id = connection.scalar(dead.limit(1))
    page = visit(scripts=False).page
    page.goto(f"{own_dashboard}/runs/{id}")

    page.get_by_role("button", name="Retry").click()

    expect(page.get_by_role("status")).to_have_text(f"Run {id} is retried.")
    expect(page.get_by_role("heading", level=1)).to_contain_text("waiting")


def test_an_event_is_replayed(own_shop: Flask, own_dashboard: str, visit: Callable[..., Visit]) -> None:
    manager: EventsManager = own_shop.extensions["condor"]
    with manager.log.read() as connection:
        id = connection.scalar(select(events.c.id).where(events.c.name == ORDER_PLACED).limit(1))
    page = visit(scripts=False).page
    page.goto(f"{own_dashboard}/events/{id}")

    page.locator("summary", has_text="Replay").click()
    page.get_by_role("button", name="Yes: Replay").click()

    expect(page.get_by_role("status")).to_contain_text("Replayed as event")
    expect(page.get_by_role("main").get_by_role("link", name=str(id))).to_be_visible()


@pytest.mark.parametrize(("theme", "colour"), [("light", "rgb(246, 247, 248)"), ("dark", "rgb(20, 24, 29)")])
def test_the_theme_is_the_systems(dashboard: str, visit: Callable[..., Visit], theme: Theme, colour: str) -> None:
    page = visit(theme, scripts=False).page

    page.goto(f"{dashboard}/events")

    expect(page.locator("body")).to_have_css("background-color", colour)


def test_what_needs_a_script_is_not_offered(dashboard: str, visit: Callable[..., Visit]) -> None:
    page = visit(scripts=False).page

    page.goto(f"{dashboard}/events")

    assert [button.inner_text() for button in page.locator("button[type=button]").all() if button.is_visible()] == []
