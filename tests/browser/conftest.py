"""A real browser, and the demo's dashboard served to it; skipped where there is no Chromium, but not in CI."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import ExitStack
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Literal

import pytest
from flask import Flask
from flask_condor import EventsManager
from flask_condor.bulk_operations import ChosenDead
from flask_condor.bulk_operations import begin
from flask_condor.demo.app import create_demo
from playwright.sync_api import Browser
from playwright.sync_api import BrowserContext
from playwright.sync_api import ConsoleMessage
from playwright.sync_api import expect
from playwright.sync_api import sync_playwright
from werkzeug.serving import make_server

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
"""Where what a test saw is kept."""

PATIENCE = 30_000
"""Milliseconds for a page to become what is expected: Playwright's own 5 s may pass on a busy machine."""

Theme = Literal["light", "dark"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        if os.environ.get("CI"):
            pytest.fail("there is no Chromium: apt-get install chromium")
        pytest.skip("there is no Chromium")
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def served(shop: Flask) -> Iterator[str]:
    """Serve a shop, and give the URL of its dashboard."""
    server = make_server("127.0.0.1", 0, shop, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/condor"
    server.shutdown()
    thread.join()
    server.server_close()
    shop.extensions["condor"].log.engine.dispose()


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """A shop that is only looked at, in which an operation on many was begun."""
    shop = create_demo(tmp_path_factory.mktemp("shop"))
    manager: EventsManager = shop.extensions["condor"]
    with manager.log.begin() as connection:
        begin(connection, manager.registry, ChosenDead(), title="after the outage", actor="ada")
    return shop


@pytest.fixture(scope="session")
def dashboard(shop: Flask) -> Iterator[str]:
    with served(shop) as url:
        yield url


@pytest.fixture
def own_shop(tmp_path: Path) -> Flask:
    """A shop in which a test may change what it likes."""
    return create_demo(tmp_path)


@pytest.fixture
def own_dashboard(own_shop: Flask) -> Iterator[str]:
    with served(own_shop) as url:
        yield url


class Visit:
    """A page in a fresh browser, and what went wrong in it so far: errors of scripts, refusals of the CSP."""

    def __init__(self, context: BrowserContext) -> None:
        self.page = context.new_page()
        self.troubles: list[str] = []
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("console", self._hear)

    def keep(self, name: str) -> None:
        """Take a picture of the whole page."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.troubles.append(message.text)


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Visit]]:
    """Give what opens a page: ``visit(theme="dark", width=360, scripts=False)``."""
    with ExitStack() as contexts:

        def open_page(theme: Theme = "light", width: int = 1440, *, scripts: bool = True) -> Visit:
            context = browser.new_context(
                color_scheme=theme, viewport={"width": width, "height": 900}, java_script_enabled=scripts
            )
            contexts.callback(context.close)
            return Visit(context)

        yield open_page
