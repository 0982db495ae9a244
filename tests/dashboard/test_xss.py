"""What is stored or sent is text on every page, whatever it holds."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.dashboard.apps import ADA
from tests.dashboard.apps import USERS
from tests.dashboard.apps import dashboard_rules
from tests.dashboard.apps import make_app
from tests.dashboard.apps import manager_of
from tests.dashboard.storing import store
from tests.dashboard.xss import TEXTS
from tests.dashboard.xss import is_shown_in
from tests.dashboard.xss import raw_in

ARGUMENTS = (
    *("period", "since", "until", "poll", "cursor", "format", "q", "name", "event", "job", "state", "status", "actor"),
    *("action", "id", "error", "worker", "queue", "source", "payload", "tab", "attempt", "duration", "sort", "panel"),
    *("run", "kind"),
)


class Elements(HTMLParser):
    """Gathers what a browser would act upon: attributes that run scripts, and where scripts and links lead."""

    def __init__(self) -> None:
        super().__init__()
        self.bad: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            runs = name.startswith("on") or name in ("style", "srcdoc") or name.startswith(("hx-on", "data-hx"))
            leads = name in ("src", "href", "action", "xlink:href", "hx-get") and not str(value).startswith(("/", "#"))
            if runs or leads:
                self.bad.append(f"<{tag} {name}={value!r}>")
        if tag in ("base", "iframe", "object", "embed", "style", "marquee", "video", "math", "template", "img"):
            self.bad.append(f"<{tag}>")


def acted_upon_in(page: str) -> list[str]:
    elements = Elements()
    elements.feed(page)
    return elements.bad


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    return make_app(tmp_path, users=USERS)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def pages(app: Flask) -> list[str]:
    """Return the paths of all pages that need no id."""
    found = {path for path, method in dashboard_rules(app) if method == "GET" and "static" not in path}
    return sorted(path for path in found if not re.search(r"/1\b|condor\.css", path))


def test_there_are_two_hundred_texts() -> None:
    assert len(set(TEXTS)) == 200


def test_no_page_acts_upon_what_is_stored(app: Flask, client: FlaskClient) -> None:
    for first in range(0, len(TEXTS), 50):
        with manager_of(app).log.begin() as connection:
            for number, text in enumerate(TEXTS[first : first + 50], first):
                store(connection, number, text)

        for path in pages(app):
            answer = client.get(path, auth=ADA)
            found = answer.status_code in (200, 303), raw_in(answer.text), acted_upon_in(answer.text)
            assert found == (True, [], []), path

    last = client.get("/condor/system/audit", auth=ADA).text
    assert all(is_shown_in(last, text) for text in TEXTS[-50:] if text.isprintable())


@pytest.mark.parametrize("first", [0, *(pytest.param(first, marks=pytest.mark.slow) for first in (50, 100, 150))])
def test_no_page_acts_upon_what_it_is_sent(app: Flask, client: FlaskClient, first: int) -> None:
    paths = [*pages(app), "/condor/nothing"]
    for number, text in enumerate(TEXTS[first : first + 50]):
        argument = ARGUMENTS[number % len(ARGUMENTS)]
        for path in (paths[number % len(paths)], paths[0]):
            answer = client.get(path, query_string={argument: text, "custom": text}, auth=ADA)

            found = answer.status_code in (200, 302, 303, 400, 404), raw_in(answer.text), acted_upon_in(answer.text)
            assert found == (True, [], []), (path, argument, text, answer.status_code)


@pytest.mark.slow
@pytest.mark.parametrize("argument", ARGUMENTS)
def test_an_argument_that_means_nothing_is_no_error_of_ours(app: Flask, client: FlaskClient, argument: str) -> None:
    text = "\"><img src=x onerror=XSS()>'\0\ud800\u202e"

    sent = f"{argument}={quote(text, errors='surrogatepass')}"

    answers = [client.get(f"{path}?{sent}", auth=ADA) for path in pages(app)]

    assert {answer.status_code for answer in answers} <= {200, 302, 303, 400, 404}
    assert not [answer.text for answer in answers if "<img" in answer.text]
