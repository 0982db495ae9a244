"""Texts that would run a script where a page does not escape them are stored everywhere, and every page is opened."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from flask import Flask
from flask_condor import EventsManager
from flask_condor.demo.app import create_demo
from flask_condor.models import deliveries
from flask_condor.models import events
from flask_condor.models import failures
from playwright.sync_api import Page
from sqlalchemy import select

from tests.browser.conftest import Visit
from tests.browser.conftest import served
from tests.dashboard.storing import store
from tests.dashboard.xss import TEXTS

PART = 25
"""How many texts one test looks at."""
WATCH = """
window.seen = [];
window.XSS = () => window.seen.push('a script ran');
for (const name of ['alert', 'confirm', 'prompt']) window[name] = () => window.seen.push(name);
document.addEventListener('securitypolicyviolation', (event) => window.seen.push(event.violatedDirective));
"""
FOREIGN = """
() => [...document.querySelectorAll(':not(.uplot, .uplot *)')].filter((one) =>
  [...one.attributes].some(({name}) => /^on|^style$|^srcdoc$|^hx-on/.test(name))
  || ['href', 'src', 'action'].some((name) => /^\\s*(java|vb)script:/i.test(one.getAttribute(name)))
  || one.matches('iframe, object, embed, base, img, video, body body, marquee, math, template, style')
  || (one.matches('script') && !String(one.src).startsWith(location.origin + '/condor/static/'))
).map((one) => one.outerHTML.slice(0, 120))
"""
LISTS = (
    *("/", "/events", "/runs", "/runs?state=dead", "/failures", "/queue", "/queue?tab=scheduled", "/operations"),
    *("/operations/new?kind=purge&count=1", "/catalogue", "/ingress", "/system", "/system/doctor", "/system/audit"),
)
ARGUMENTS = (
    *("q", "name", "event", "job", "error", "payload", "queue", "cursor", "status", "tab", "since", "order", "panel"),
)


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """A shop with each text wherever the log holds one, beside the demo's events."""
    shop = create_demo(tmp_path_factory.mktemp("attacked"))
    manager: EventsManager = shop.extensions["condor"]
    with manager.log.begin() as connection:
        for number, text in enumerate(TEXTS):
            store(connection, number, text)
    return shop


@pytest.fixture(scope="module")
def url(attacked: Flask) -> Iterator[str]:
    with served(attacked) as url:
        yield url


@pytest.fixture
def page(visit: Callable[..., Visit]) -> Page:
    page = visit().page
    page.on("dialog", lambda dialog: dialog.dismiss())
    page.add_init_script(WATCH)
    return page


def wrong_on(page: Page, url: str) -> list[str]:
    """Open a page; return what ran there, what its policy has refused, and the elements that are none of ours."""
    page.goto(url)
    found: list[str] = page.evaluate("window.seen") + page.evaluate(FOREIGN)
    return found


@pytest.mark.parametrize("path", LISTS)
def test_no_list_runs_what_is_stored(url: str, page: Page, path: str) -> None:
    page.set_default_navigation_timeout(60_000)

    assert wrong_on(page, url + path) == []

    for _ in range(3):
        link = page.locator("[data-next]")
        if not link.count():
            break
        assert wrong_on(page, url.removesuffix("/condor") + str(link.get_attribute("href"))) == []


@pytest.mark.parametrize("first", range(0, len(TEXTS), PART))
def test_no_page_of_one_thing_runs_what_is_stored(attacked: Flask, url: str, page: Page, first: int) -> None:
    manager: EventsManager = attacked.extensions["condor"]
    with manager.log.read() as connection:
        of_them = select(events.c.id, deliveries.c.id.label("run"), deliveries.c.failure_id).join(deliveries)
        names = TEXTS[first : first + PART]
        rows = connection.execute(of_them.where(events.c.name.in_(names))).all()
        assert connection.scalar(select(failures.c.id).where(failures.c.id == rows[0].failure_id))
    tabs = ("payload", "jobs", "chain", "http", "audit", "replay", "payload&view=raw")

    wrong: list[tuple[str, list[str]]] = []
    for number, row in enumerate(rows):
        path = quote(row.id, safe="")
        others = (f"/runs/{row.run}", f"/failures/{row.failure_id}", f"/chains/{path}?panel={path}")
        for one in (f"/events/{path}?tab={tabs[number % len(tabs)]}", others[number % len(others)]):
            if found := wrong_on(page, url + one):
                wrong.append((one, found))

    assert len(rows) == PART
    assert wrong == []


@pytest.mark.parametrize("first", range(0, len(TEXTS), 2 * PART))
def test_no_page_runs_what_stands_in_its_url(dashboard: str, page: Page, first: int) -> None:
    wrong: list[tuple[str, list[str]]] = []
    for number, text in enumerate(TEXTS[first : first + 2 * PART]):
        path, argument = LISTS[number % len(LISTS)].partition("?")[0], ARGUMENTS[number % len(ARGUMENTS)]
        url = f"{dashboard}{path}?{argument}={quote(text)}" if number % 3 else f"{dashboard}/{quote(text)}"
        if found := wrong_on(page, url):
            wrong.append((url, found))

    assert wrong == []
