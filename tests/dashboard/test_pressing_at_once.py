"""A button that is pressed many times at once, by an impatient person or by many, does what it says once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from pathlib import Path
from threading import Barrier
from threading import Thread
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPRedirectHandler
from urllib.request import Request
from urllib.request import build_opener

import pytest
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor.models import audit
from flask_condor.models import deliveries
from flask_condor.models import events
from sqlalchemy import select
from sqlalchemy import update
from werkzeug.serving import make_server

from tests.dashboard.apps import make_app
from tests.dashboard.apps import manager_of
from tests.databases import queued

PRESSES = 20
FORM = r'<form method="post" action="{}".*?</form>'
FIELD = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)">')


class Stays(HTTPRedirectHandler):
    """Does not follow where an action leads."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


opener = build_opener(Stays)


@pytest.fixture
def manager(database_url: str, tmp_path: Path) -> Iterator[EventsManager]:
    manager = manager_of(make_app(tmp_path, debug=True, CONDOR_DATABASE_URL=database_url))
    with manager.app.app_context():
        manager.fire(Event("user.registered", {"to": "Ada"}, id="one"))
    yield manager
    manager.log.engine.dispose()


@pytest.fixture
def url(manager: EventsManager) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, manager.app, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/condor"
    server.shutdown()
    thread.join()
    server.server_close()


def opened(url: str) -> tuple[str, str]:
    """Return a page, and the cookie that belongs to its forms."""
    with opener.open(url) as answer:
        return answer.read().decode(), answer.headers["Set-Cookie"].partition(";")[0]


def press_at_once(url: str, page: str, cookie: str, path: str) -> list[tuple[int, str]]:
    """Send the form of *page* that leads to *path* as often as PRESSES says; return each status and where it leads."""
    form = re.search(FORM.format(re.escape(f"/condor{path}")), page, re.DOTALL)
    assert form
    data = urlencode({name: unescape(value) for name, value in FIELD.findall(form[0])}).encode()
    headers = {"Cookie": cookie, "Sec-Fetch-Site": "same-origin"}
    ready = Barrier(PRESSES)

    def press(_: int) -> tuple[int, str]:
        ready.wait()
        try:
            opener.open(Request(f"{url}{path}", data, headers)).close()
        except HTTPError as answer:
            with answer:
                return answer.code, answer.headers.get("Location", "")
        raise AssertionError("an action leads back to a page")

    with ThreadPoolExecutor(PRESSES) as people:
        return list(people.map(press, range(PRESSES)))


def notes(manager: EventsManager, action: str) -> list[Any]:
    with manager.log.read() as connection:
        return list(connection.execute(select(audit).where(audit.c.action == action)))


def die(manager: EventsManager) -> None:
    with manager.log.begin() as connection:
        connection.execute(update(deliveries).values(state="dead", attempt=5, finished_at=1.0, error="OSError: away"))


@pytest.mark.parametrize("path", ["/runs/1", "/events/one"])
def test_a_dead_run_is_retried_once(manager: EventsManager, url: str, path: str) -> None:
    die(manager)
    page, cookie = opened(url + path)

    answers = press_at_once(url, page, cookie, f"{path}/retry")

    assert {status for status, _ in answers} == {303}
    assert [(row.state, row.attempt) for row in queued(manager)] == [("pending", 0)]
    (note,) = notes(manager, "retry")
    assert (note.delivery_id, note.event_id, note.actor) == (1, "one", "dashboard 127.0.0.1")
    assert json.loads(note.detail)["was"] == {"state": "dead", "attempt": 5, "error": "OSError: away"}


def test_an_event_is_replayed_once(manager: EventsManager, url: str) -> None:
    page, cookie = opened(f"{url}/events/one")

    answers = press_at_once(url, page, cookie, "/events/one/replay")

    with manager.log.read() as connection:
        (made,) = connection.scalars(select(events.c.id).where(events.c.replay_of == "one"))
    assert set(answers) == {(303, f"/condor/events/{made}")}
    assert [row.event_id for row in queued(manager)] == ["one", made]
    (note,) = notes(manager, "replay")
    assert (note.event_id, note.actor, json.loads(note.detail)["replay"]) == ("one", "dashboard 127.0.0.1", made)


def test_two_forms_replay_twice(manager: EventsManager, url: str) -> None:
    page, cookie = opened(f"{url}/events/one")
    press_at_once(url, page, cookie, "/events/one/replay")
    request = Request(f"{url}/events/one", headers={"Cookie": cookie})
    with opener.open(request) as answer:
        page = answer.read().decode()

    press_at_once(url, page, cookie, "/events/one/replay")

    assert len(queued(manager)) == 3
    assert len(notes(manager, "replay")) == 2
