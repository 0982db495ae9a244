"""The side panel of the lists of events: what it shows, and that it hides what the event's own page hides."""

from __future__ import annotations

import re
import time
from html import unescape
from pathlib import Path

import pytest
from flask import Flask
from flask_condor import Condor
from flask_condor import EventsManager

from tests.dashboard.browsing import Person
from tests.dashboard.test_events import store

PANEL = re.compile(r'<aside id="panel".*?</aside>', re.DOTALL)
EVENT = {"id": "e1", "name": "order.<i>", "payload": '{"user": "Ada <b>", "password": "hunter2"}', "runs": ("dead",)}


def person_at(folder: Path, **rules: object) -> Person:
    app = Flask("shop")
    app.debug = True
    app.config["CONDOR_DATABASE_URL"] = f"sqlite:///{folder / 'condor.db'}"
    Condor(app, **rules)  # type: ignore[arg-type]  # what the tests below give it
    manager: EventsManager = app.extensions["condor"]
    store(manager, EVENT | {"fired_at": time.time() - 60})
    return Person(manager)


@pytest.fixture
def person(tmp_path: Path) -> Person:
    return person_at(tmp_path)


def panel_in(page: str) -> str:
    found = PANEL.search(page)
    assert found, page
    return unescape(found[0])


def test_it_tells_what_an_event_is_about(person: Person) -> None:
    store(person.manager, {"id": "e2", "subject": "orders/<b>7"})

    assert "<dt>Subject</dt><dd>orders/<b>7</dd>" in panel_in(person.open("/events?panel=e2"))
    assert "Subject" not in panel_in(person.open("/events?panel=e1"))


@pytest.mark.parametrize("path", ["/events", "/chains/e1", "/chains/e1?view=table", "/events/e1?tab=chain"])
def test_it_tells_of_an_event_without_its_secrets(person: Person, path: str) -> None:
    mark = "&" if "?" in path else "?"

    page = person.open(f"{path}{mark}panel=e1")

    panel = panel_in(page)
    assert "failed" in panel and "Ada <b>" in panel and "[redacted]" in panel and "by app" in panel
    assert "send</a>" in panel and "dead" in panel and 'href="/condor/events/e1">Open page' in panel
    assert f'href="/condor{path}"' in panel
    assert "hunter2" not in page and "<b>" not in page and "<i>" not in page


def test_a_link_leads_to_the_page_and_a_plain_click_to_the_panel(person: Person) -> None:
    link = re.search(r'<a href="/condor/events/e1[^>]*>', unescape(person.open("/events?period=24h&status=failed")))

    assert link and 'href="/condor/events/e1?period=24h"' in link[0]
    assert 'hx-get="/condor/events?period=24h&status=failed&panel=e1"' in link[0]


def test_no_panel_is_shown_that_was_not_asked_for(person: Person) -> None:
    assert "<aside id=" not in person.open("/events") + person.open("/chains/e1") + person.open("/events?panel=")


def test_an_event_that_is_gone_is_told_in_the_panel(person: Person) -> None:
    panel = panel_in(person.open("/events?panel=<script>"))

    assert "No such event" in panel and "pruned long after it ended" in panel
    assert "panel= has 300 characters" in person.open(f"/events?panel={'x' * 300}", 400)


def test_it_reveals_nothing_to_whoever_may_reveal(person: Person) -> None:
    assert "hunter2" not in person.open("/events?panel=e1&reveal=1")


def test_who_may_only_look_sees_no_more_in_it_than_on_the_page(tmp_path: Path) -> None:
    person = person_at(tmp_path, authorize=lambda action, request: action == "view")

    assert "[redacted]" in panel_in(person.open("/events?panel=e1"))


def test_a_page_that_begins_further_down_stays_there_with_a_panel_and_when_it_is_polled(tmp_path: Path) -> None:
    person = person_at(tmp_path)
    store(person.manager, *({"id": f"x{n}", "fired_at": time.time() - n} for n in range(55)))
    cursor = re.search(r"cursor=([\w-]+)", person.open("/events"))
    assert cursor

    page = unescape(person.open(f"/events?cursor={cursor[1]}"))

    assert f'<main id="main" tabindex="-1" data-poll="5" data-live hx-get="/condor/events?cursor={cursor[1]}"' in page
    assert f'hx-get="/condor/events?cursor={cursor[1]}&panel=x52"' in page
