"""Doing the same to many: previewed, confirmed, carried out by a worker, followed live, and aborted."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator

import pytest
from flask import Flask
from flask_condor import EventsManager
from flask_condor import bulk
from flask_condor import bulk_worker
from flask_condor.bulk_worker import BulkWorker
from flask_condor.models import deliveries
from playwright.sync_api import Page
from playwright.sync_api import expect
from sqlalchemy import func
from sqlalchemy import select

from tests.browser.conftest import Visit


@pytest.fixture
def manager(own_shop: Flask) -> EventsManager:
    manager: EventsManager = own_shop.extensions["condor"]
    return manager


@pytest.fixture
def worker(manager: EventsManager) -> Iterator[BulkWorker]:
    """The part of a worker that carries out operations, in this process."""
    worker = BulkWorker(manager, "one")
    yield worker
    worker.end()


def dead(manager: EventsManager) -> int:
    of_queues = select(func.count()).where(deliveries.c.state == "dead", deliveries.c.run == "queued")
    with manager.log.read() as connection:
        return connection.scalar(of_queues) or 0


def begin_to_retry_all(page: Page, dashboard: str) -> None:
    page.goto(f"{dashboard}/operations")
    page.get_by_role("button", name="New operation").click()
    page.get_by_role("button", name="Count").click()
    page.get_by_label("Title").fill("after the outage")
    page.get_by_role("button", name="Begin").click()
    expect(page.get_by_role("status")).to_contain_text("Began operation")
    page.goto(f"{page.url}?poll=2")


def test_many_are_counted_before_anything_is_done(
    own_dashboard: str, manager: EventsManager, visit: Callable[..., Visit]
) -> None:
    count = dead(manager)
    page = visit().page
    page.goto(f"{own_dashboard}/operations/new?kind=retry")

    page.get_by_role("button", name="Count").click()

    expect(page.get_by_role("heading", level=2).first).to_have_text(f"Retry {count}?")
    assert dead(manager) == count > 1


def test_an_operation_is_followed_to_its_end(
    own_dashboard: str, manager: EventsManager, worker: BulkWorker, visit: Callable[..., Visit]
) -> None:
    count = dead(manager)
    page = visit().page
    begin_to_retry_all(page, own_dashboard)
    expect(page.get_by_role("main")).to_contain_text("It waits for a worker")

    worker.tick()

    expect(page.get_by_role("heading", name=f"{count} of {count} done")).to_be_visible()
    expect(page.get_by_role("main").locator(".state")).to_have_text("✓ done")
    assert dead(manager) == 0


def test_an_operation_is_aborted_between_two_batches(
    own_dashboard: str,
    manager: EventsManager,
    worker: BulkWorker,
    visit: Callable[..., Visit],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bulk, "RETRIES", 1)
    monkeypatch.setattr(bulk_worker, "SHORTEST_PAUSE", 600.0)
    count = dead(manager)
    page = visit().page
    begin_to_retry_all(page, own_dashboard)
    worker.tick()
    expect(page.get_by_role("heading", name=f"1 of {count} done")).to_be_visible()
    expect(page.get_by_role("progressbar")).to_have_attribute("value", "1")

    page.locator("summary", has_text="Abort").click()
    page.get_by_role("button", name="Yes: Abort").click()

    expect(page.get_by_role("status")).to_contain_text("what is done stays done")
    expect(page.get_by_role("main").locator(".state")).to_contain_text("aborted")
    assert dead(manager) == count - 1
