"""The headers of what the dashboard answers: nothing is kept but assets, and no script runs but our own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import Flask
from flask import Response
from flask.testing import FlaskClient
from flask_condor.dashboard.headers import POLICY

from tests.dashboard.apps import ADA
from tests.dashboard.apps import USERS
from tests.dashboard.apps import make_app
from tests.dashboard.apps import manager_of


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    return make_app(tmp_path, users=USERS)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


PAGES = ["/condor/", "/condor/system", "/condor/system/doctor", "/condor/system/audit", "/condor/nothing-of-that-name"]


@pytest.mark.parametrize("path", [*PAGES, "/condor/?period=nonsense", "/condor/system/audit?format=csv"])
@pytest.mark.parametrize("auth", [ADA, None])
def test_every_answer_has_the_strict_headers(client: FlaskClient, path: str, auth: tuple[str, str] | None) -> None:
    answer = client.get(path, auth=auth)

    assert answer.headers["Content-Security-Policy"] == POLICY
    assert "unsafe" not in POLICY
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", PAGES)
def test_no_page_holds_a_script_a_style_or_an_address_elsewhere(client: FlaskClient, path: str) -> None:
    page = client.get(path, auth=ADA).text

    assert not re.findall(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=|hx-on|javascript:|eval\(", page)
    assert not re.findall(r"(?:src|href|action)=\"(?:https?:)?//", page)
    assert re.findall(r"every \d|hx-trigger=\"[^\"]*\[", page) == []


def test_the_app_s_own_headers_do_not_weaken_those_of_the_dashboard(app: Flask, client: FlaskClient) -> None:
    @app.after_request
    def weaken(response: Response) -> Response:
        response.headers.setdefault("Content-Security-Policy", "default-src *")
        response.headers.setdefault("Cache-Control", "public")
        return response

    answer = client.get("/condor/", auth=ADA)

    assert answer.headers.getlist("Content-Security-Policy") == [POLICY]
    assert answer.headers["Cache-Control"] == "no-store"


def test_assets_are_kept_for_a_year_under_the_hash_of_what_they_hold(client: FlaskClient) -> None:
    page = client.get("/condor/", auth=ADA).text
    urls = re.findall(r'"(/condor/static/[^"]+)"', page)

    answers = [client.get(url, auth=ADA, buffered=True) for url in urls]

    assert len(urls) >= 7
    assert all(re.search(r"\?v=[0-9a-f]{16}$", url) for url in urls)
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.headers["Cache-Control"] for answer in answers} == {"public, max-age=31536000, immutable"}


@pytest.mark.parametrize("name", ["../blueprint.py", "..%2fblueprint.py", "nothing.css", "vendor", "/etc/passwd"])
def test_only_assets_are_sent(client: FlaskClient, name: str) -> None:
    answer = client.get(f"/condor/static/{name}", auth=ADA)

    assert answer.status_code in (308, 404)
    assert answer.headers.get("Cache-Control") != "public, max-age=31536000, immutable"


@pytest.mark.parametrize("path", ["/condor/", "/condor/system/audit?actor=ada"])
def test_a_page_of_which_nothing_has_changed_is_not_sent_again(app: Flask, client: FlaskClient, path: str) -> None:
    first = client.get(path, auth=ADA)

    again = [client.get(path, auth=ADA, headers={"If-None-Match": first.headers["ETag"]}) for _ in range(2)]
    with app.app_context():
        manager_of(app).emit("user.registered", {})
    changed = client.get(path, auth=ADA, headers={"If-None-Match": first.headers["ETag"]})

    assert 304 in [answer.status_code for answer in again], "the tag changes every 20 s, so one of two may miss"
    assert all(answer.data == b"" for answer in again if answer.status_code == 304)
    assert (changed.status_code, changed.headers["ETag"] != first.headers["ETag"]) == (200, True)


def test_the_tag_of_a_page_is_of_who_asks_and_what_for(tmp_path: Path) -> None:
    users = USERS | {"eve": USERS["ada"]}
    client = make_app(tmp_path, users=users).test_client()

    tags = [
        client.get(path, auth=(name, "correct horse")).headers["ETag"]
        for path in ("/condor/", "/condor/?period=7d")
        for name in users
    ]

    assert len(set(tags)) == 4


@pytest.mark.parametrize(("asked", "given"), [("", 5), ("0", 2), ("1", 2), ("30", 30), ("99999", 60)])
def test_the_interval_of_polls_is_clamped(client: FlaskClient, asked: str, given: int) -> None:
    page = client.get(f"/condor/?poll={asked}", auth=ADA).text

    assert f'data-poll="{given}"' in page
