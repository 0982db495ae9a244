"""Polls: a page that asks for itself is made once in 1 to 2 s for all who see the same; what a person opens, anew."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask import Response
from flask.testing import FlaskClient
from flask_condor.dashboard import polling
from flask_condor.dashboard.here import access
from flask_condor.dashboard.polling import Polls
from flask_condor.dashboard.same_site import STAND_IN
from flask_condor.errors import LogUnavailable
from flask_condor.log import Log

from tests.dashboard.apps import ADA
from tests.dashboard.apps import USERS
from tests.dashboard.apps import make_app
from tests.dashboard.apps import manager_of
from tests.dashboard.apps import press

POLL = {"HX-Source": "main#main"}
"""As htmx sends it for the part of a page that polls."""
TOKEN = re.compile(r'name="condor_form" value="([^"]+)"')
ONCE = re.compile(r'name="once" value="([^"]+)"')


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold pages for as long as a test takes."""
    monkeypatch.setattr(polling, "HELD", (3600.0, 3600.0))


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    return make_app(tmp_path, users=USERS | {"eve": USERS["ada"]})


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def fire(app: Flask) -> str:
    with app.app_context():
        return manager_of(app).emit("user.registered", {}).id


def die(app: Flask) -> None:
    """Let a run be dead."""
    fire(app)
    with manager_of(app).log.begin() as connection:
        connection.exec_driver_sql("UPDATE condor_deliveries SET state = 'dead', finished_at = due_at")


def poll(client: FlaskClient, path: str, auth: Any = ADA, **headers: str) -> Any:
    return client.get(path, auth=auth, headers=POLL | headers)


def main_of(page: str) -> str:
    return page[page.index("<main") : page.index("</main>")]


@pytest.mark.usefixtures("held")
def test_a_poll_gets_what_another_got_lately_and_a_person_what_is_stored(app: Flask, client: FlaskClient) -> None:
    first = poll(client, "/condor/events").text
    id = fire(app)

    again, opened = poll(client, "/condor/events").text, client.get("/condor/events", auth=ADA).text

    assert main_of(again) == main_of(first)
    assert (id in again, id in opened) == (False, True)


def test_a_later_poll_gets_what_has_come_since(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "HELD", (0.0, 0.0))
    poll(client, "/condor/events")
    id = fire(app)

    assert id in poll(client, "/condor/events").text


def test_a_poll_has_the_same_content_as_the_page_without_what_its_frame_suggests(
    app: Flask, client: FlaskClient
) -> None:
    fire(app)
    client.get("/condor/events", auth=ADA)

    opened, polled = client.get("/condor/events", auth=ADA).text, poll(client, "/condor/events").text

    assert main_of(polled) == main_of(opened)
    suggested = ["<option" in page[: page.index("<main")] for page in (opened, polled)]
    assert suggested == [True, False]


def test_no_page_is_held_longer_than_the_shortest_time_between_two_polls_of_a_browser(client: FlaskClient) -> None:
    page = client.get("/condor/?poll=0", auth=ADA).text

    assert f'data-poll="{max(polling.HELD):.0f}"' in page


@pytest.mark.usefixtures("held")
def test_an_action_shows_at_once_on_the_page_that_it_leads_to(app: Flask, client: FlaskClient) -> None:
    die(app)
    page = poll(client, "/condor/runs").text
    token = TOKEN.search(page)
    assert token and "/runs/1/retry" in page

    press(client, "/condor/runs/1/retry", token[1], auth=ADA)

    after, later = client.get("/condor/runs", auth=ADA).text, client.get("/condor/runs", auth=ADA).text
    assert ("/runs/1/retry" in after, "/runs/1/retry" in later) == (False, False)


@pytest.mark.usefixtures("held")
def test_each_browser_gets_its_own_token_in_the_forms_of_a_page_that_is_held(app: Flask) -> None:
    die(app)
    first, second = app.test_client(), app.test_client()

    pages = [poll(client, "/condor/runs").text for client in (first, second)]

    tokens = [TOKEN.search(page)[1] for page in pages]  # type: ignore[index] # shown by its absence
    assert tokens[0] != tokens[1] and STAND_IN not in "".join(pages)
    assert pages[0].replace(tokens[0], "") == pages[1].replace(tokens[1], "")
    assert press(first, "/condor/runs/1/retry", tokens[1], auth=ADA).status_code == 403
    assert press(second, "/condor/runs/1/retry", tokens[1], auth=ADA).status_code == 303


@pytest.mark.usefixtures("held")
def test_nobody_is_given_the_page_of_another_who_may_do_more_or_came_by_another_name(tmp_path: Path) -> None:
    app = make_app(tmp_path, authorize=lambda action, request: action == "view" or "Boss" in request.headers)
    die(app)
    client = app.test_client()

    boss = poll(client, "/condor/runs", None, Boss="yes").text
    clerk = poll(client, "/condor/runs", None).text
    elsewhere = client.get("http://elsewhere/condor/runs", headers=POLL | {"Boss": "yes"}).text

    assert [text.count("/runs/1/retry") > 0 for text in (boss, clerk, elsewhere)] == [True, False, True]


@pytest.mark.usefixtures("held")
def test_each_user_and_each_filter_has_a_page_of_its_own(client: FlaskClient) -> None:
    pages = [
        poll(client, f"/condor/{query}", (name, "correct horse")).text
        for name in ("ada", "eve")
        for query in ("", "?period=7d", "events", "events?name=a")
    ]

    assert len(set(pages)) == 8
    assert ["eve</p>" in page for page in pages] == [False] * 4 + [True] * 4


@pytest.mark.usefixtures("held")
def test_what_is_for_one_form_only_is_not_shared(app: Flask, client: FlaskClient) -> None:
    id = fire(app)

    forms = [ONCE.findall(poll(client, f"/condor/events/{id}").text) for _ in range(2)]

    assert forms[0] and forms[0] != forms[1]


@pytest.mark.usefixtures("held")
def test_a_browser_that_has_the_page_is_told_so(app: Flask, client: FlaskClient) -> None:
    tag = poll(client, "/condor/events").headers["ETag"]
    fire(app)

    again, other = poll(client, "/condor/events", **{"If-None-Match": tag}), poll(client, "/condor/events")

    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", tag)
    assert (other.status_code, other.headers["ETag"]) == (200, tag)


@pytest.mark.usefixtures("held")
def test_an_error_is_not_held(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(log: Log) -> None:
        raise LogUnavailable("the event log was not read: it is away")

    with monkeypatch.context() as broken:
        broken.setattr(Log, "read", away)
        failed = poll(client, "/condor/events")
    monkeypatch.setattr(polling, "HELD", (0.0, 0.0))

    assert (failed.status_code, STAND_IN in failed.text) == (503, False)
    assert poll(client, "/condor/events").status_code == 200


def answer(app: Flask, polls: Polls, path: str, make: Any) -> str:
    with app.test_request_context(path, headers=POLL, auth=ADA):
        access().identify()
        return polls.answer(make).get_data(as_text=True)


@pytest.mark.usefixtures("held")
def test_pages_polled_least_lately_make_room_for_others(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "MOST", 2)
    polls, made = Polls(), list[str]()

    def make(path: str) -> Response:
        made.append(path)
        return Response(path)

    for path in ("/a", "/b", "/a", "/c", "/a", "/b"):
        assert answer(app, polls, path, lambda path=path: make(path)) == path

    assert made == ["/a", "/b", "/c", "/b"]


@pytest.mark.usefixtures("held")
def test_a_page_longer_than_is_kept_is_made_for_each(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "LONGEST", 3)
    polls = Polls()

    texts = [answer(app, polls, "/", lambda text=text: Response(text)) for text in ("long", "tall", "ok", "no")]

    assert texts == ["long", "tall", "ok", "ok"]


@pytest.mark.usefixtures("held")
def test_of_many_threads_that_want_a_page_one_makes_it(app: Flask) -> None:
    polls, made, texts = Polls(), list[None](), list[str]()
    all_ask, another_makes = threading.Barrier(4), threading.Event()

    def make() -> Response:
        made.append(None)
        another_makes.wait(0.2) if len(made) == 1 else another_makes.set()
        return Response("a page")

    def ask() -> None:
        all_ask.wait(30)
        texts.append(answer(app, polls, "/", make))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(made), texts) == (1, ["a page"] * 4)
