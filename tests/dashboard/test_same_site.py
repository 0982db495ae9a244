"""Only a form of the dashboard itself changes anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask import Response
from flask.testing import FlaskClient
from flask_condor.dashboard import blueprint
from flask_condor.dashboard.frame import back
from flask_condor.dashboard.frame import environment
from flask_condor.dashboard.frame import shown
from flask_condor.dashboard.routes import Routes
from flask_wtf import CSRFProtect  # type: ignore[import-untyped]  # Flask-WTF has no types
from jinja2 import ChoiceLoader
from jinja2 import DictLoader
from jinja2 import PackageLoader
from werkzeug.test import TestResponse

from tests.dashboard.apps import ADA
from tests.dashboard.apps import USERS
from tests.dashboard.apps import make_app
from tests.dashboard.apps import press
from tests.dashboard.apps import token_of

changes: list[str] = []
routes = Routes()
FORM = """{% extends "condor/frame.html" %}{% import "condor/parts.html" as parts %}
{% block main %}{{ parts.action(link("/tests/act"), "Act") }}{% endblock %}"""


@routes.page("/tests/form")
def form() -> Response:
    return shown("form", title="Form")


@routes.action("/tests/act", needs="cancel")
def act() -> Any:
    changes.append("acted")
    return back(message="Cancelled <b>3</b> runs.")


@pytest.fixture(autouse=True)
def a_screen_that_changes_something(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    changes.clear()
    real = blueprint.add_screen

    def add(made: Any, screen: str) -> None:
        real(made, screen)
        if screen == "overview":
            for route in routes:
                blueprint.add_route(made, "tests", route)

    monkeypatch.setattr(blueprint, "add_screen", add)
    loader = environment().loader
    assert isinstance(loader, PackageLoader)
    environment().loader = ChoiceLoader([DictLoader({"form": FORM}), loader])
    yield
    environment().loader = loader


@pytest.fixture
def client(tmp_path: Path) -> FlaskClient:
    return make_app(tmp_path, users=USERS).test_client()


def test_a_form_of_the_dashboard_changes_something_and_leads_back_with_a_message(client: FlaskClient) -> None:
    token = token_of(client, auth=ADA)

    answer = press(client, "/condor/tests/act", token, {"condor_back": "/condor/tests/form?period=7d"}, auth=ADA)
    page = client.get(answer.location, auth=ADA)

    assert (answer.status_code, answer.location, changes) == (303, "/condor/tests/form?period=7d", ["acted"])
    assert "Cancelled &lt;b&gt;3&lt;/b&gt; runs." in page.text
    assert "Cancelled" not in client.get(answer.location, auth=ADA).text


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
        {"Sec-Fetch-Site": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://evil.example@localhost:80:80"},
        {"Origin": "http://[::1"},
        {"Origin": "localhost"},
        {"Referer": "http://localhost/condor/"},
        {},
    ],
)
def test_what_another_site_sends_changes_nothing(client: FlaskClient, headers: dict[str, str]) -> None:
    token = token_of(client, auth=ADA)

    answer = client.post("/condor/tests/act", data={"condor_form": token}, headers=headers, auth=ADA)

    assert (answer.status_code, changes) == (403, [])


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {"Origin": "http://localhost"}]
)
def test_what_this_site_sends_is_taken(client: FlaskClient, headers: dict[str, str]) -> None:
    token = token_of(client, auth=ADA)

    answer = client.post("/condor/tests/act", data={"condor_form": token}, headers=headers, auth=ADA)

    assert (answer.status_code, changes) == (303, ["acted"])


def send(client: FlaskClient, how: str, token: str) -> TestResponse:
    path, headers = "/condor/tests/act", {"Sec-Fetch-Site": "same-origin"}
    if how == "GET":
        return client.get(f"{path}?condor_form={token}", headers=headers, auth=ADA)
    if how == "no token":
        return client.post(path, headers=headers, auth=ADA)
    if how == "token in the URL":
        return client.post(f"{path}?condor_form={token}", headers=headers, auth=ADA)
    if how == "plain text":
        return client.post(
            path, data=f'{{"condor_form": "{token}"}}', content_type="text/plain", headers=headers, auth=ADA
        )
    if how == "JSON":
        return client.post(path, json={"condor_form": token}, headers=headers, auth=ADA)
    if how == "no cookie":
        client.delete_cookie("condor_form", path="/condor")
        return press(client, path, token, auth=ADA)
    if how == "empty":
        client.set_cookie("condor_form", "", path="/condor")
        return press(client, path, "", auth=ADA)
    return press(client, path, "x" * 43 if how == "wrong token" else "\u00fc", auth=ADA)


@pytest.mark.parametrize(
    "how",
    ["GET", "no token", "token in the URL", "plain text", "JSON", "no cookie", "empty", "wrong token", "odd token"],
)
def test_nothing_is_changed_without_the_token_of_a_form(client: FlaskClient, how: str) -> None:
    token = token_of(client, auth=ADA)

    answer = send(client, how, token)

    assert answer.status_code in (403, 404, 405)
    assert changes == []


def test_the_token_is_kept_where_no_script_and_no_other_site_gets_it(client: FlaskClient) -> None:
    page = client.get("/condor/tests/form", auth=ADA, base_url="https://localhost")

    cookie = page.headers["Set-Cookie"]

    assert {"HttpOnly", "SameSite=Lax", "Secure", "Path=/condor"} <= set(cookie.split("; "))


@pytest.mark.parametrize(
    "url",
    [
        "//evil.example/condor/",
        "https://evil.example/",
        "/other",
        "/condor/../other",
        "/condor\\@evil",
        "/condorx",
        "javascript:1",
        "/condor/\r\nSet-Cookie: a=b",
    ],
)
def test_an_action_leads_back_to_the_dashboard_only(client: FlaskClient, url: str) -> None:
    token = token_of(client, auth=ADA)

    answer = press(client, "/condor/tests/act", token, {"condor_back": url}, auth=ADA)

    assert (answer.status_code, answer.location) == (303, "/condor/")


def test_a_message_that_the_app_did_not_sign_is_not_shown(client: FlaskClient) -> None:
    client.set_cookie("condor_done", "IlBheSBtZSI.aSB.abc", path="/condor")

    assert "Pay me" not in client.get("/condor/tests/form", auth=ADA).text


@pytest.mark.parametrize("is_first", [True, False])
def test_an_app_that_runs_csrf_protection_of_its_own_has_the_dashboard_too(tmp_path: Path, is_first: bool) -> None:
    app = make_app(tmp_path, users=USERS, SECRET_KEY="known only here") if not is_first else protected(tmp_path)
    if not is_first:
        CSRFProtect(app)
    client = app.test_client()

    token = token_of(client, auth=ADA)

    assert press(client, "/condor/tests/act", token, auth=ADA).status_code == 303
    assert client.post("/condor/tests/act", data={"condor_form": token}, auth=ADA).status_code == 403


def protected(folder: Path) -> Flask:
    """Return an app that has CSRF protection before Condor."""
    from flask_condor import Condor

    app = Flask("protected first", instance_path=str(folder))
    app.testing = True
    app.config |= {"SECRET_KEY": "known only here", "CONDOR_DASHBOARD_USERS": USERS}
    CSRFProtect(app)
    Condor(app)
    return app
