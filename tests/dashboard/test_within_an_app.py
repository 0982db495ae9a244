"""The dashboard within an app that has error handlers, hooks and blueprints too: neither is in the other's way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask import Blueprint
from flask import Flask
from flask import abort
from flask import redirect
from flask_condor import CondorError
from werkzeug.test import TestResponse

from tests.dashboard.apps import ADA
from tests.dashboard.apps import SAME_SITE
from tests.dashboard.apps import USERS
from tests.dashboard.apps import make_app


def handle(app: Flask, what: Any) -> None:
    """Let the app answer an error by itself."""
    app.register_error_handler(what, lambda error: redirect("/of-the-app"))


@pytest.mark.parametrize(
    ("path", "status"),
    [("/nothing", 404), ("/events/none", 404), ("/events?status=x", 400), ("/static/none.css", 404)],
)
@pytest.mark.parametrize("what", ["its status", Exception, CondorError])
def test_a_page_says_what_is_wrong_whatever_the_app_does_about_errors(
    tmp_path: Path, path: str, status: int, what: Any
) -> None:
    app = make_app(tmp_path, users=USERS)
    handle(app, status if what == "its status" else what)

    answer = app.test_client().get(f"/condor{path}", auth=ADA)

    assert answer.status_code == status
    assert 'id="main"' in answer.text


def test_a_password_is_asked_for_though_the_app_leads_strangers_to_its_own_form(tmp_path: Path) -> None:
    app = make_app(tmp_path, users=USERS)
    handle(app, 401)

    answer = app.test_client().get("/condor/")

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic")


def test_a_form_from_elsewhere_is_refused_by_a_page_of_ours(tmp_path: Path) -> None:
    app = make_app(tmp_path, users=USERS)
    handle(app, 403)

    answer = app.test_client().post("/condor/runs/1/retry", auth=ADA, headers=SAME_SITE)

    assert answer.status_code == 403
    assert 'id="main"' in answer.text


def refused_by(app: Flask, error: Exception | int) -> TestResponse:
    @app.before_request
    def refuse() -> None:
        if isinstance(error, int):
            abort(error)
        raise error

    return app.test_client().get("/condor/", auth=ADA)


def test_what_a_hook_of_the_app_refuses_is_answered_by_the_app(tmp_path: Path) -> None:
    app = make_app(tmp_path, users=USERS)
    handle(app, 401)

    assert refused_by(app, 401).headers["Location"] == "/of-the-app"


def test_an_error_of_ours_in_a_hook_of_the_app_is_answered_by_the_app(tmp_path: Path) -> None:
    app = make_app(tmp_path, users=USERS)
    handle(app, CondorError)

    assert refused_by(app, CondorError("no event")).headers["Location"] == "/of-the-app"


def test_who_may_see_it_cannot_be_told_when_the_callback_fails(tmp_path: Path) -> None:
    def authorize(action: str, request: object) -> bool:
        raise KeyError("user")

    app = make_app(tmp_path, authorize=authorize)
    app.testing = False

    answer = app.test_client().get("/condor/")

    assert answer.status_code == 500
    assert answer.text == "500 Internal Server Error\n"


def test_the_app_may_have_a_blueprint_called_condor(tmp_path: Path) -> None:
    app = make_app(tmp_path, users=USERS)
    birds = Blueprint("condor", __name__)
    birds.add_url_rule("/birds", "overview", lambda: "a condor")
    app.register_blueprint(birds)

    client = app.test_client()

    assert client.get("/birds").text == "a condor"
    assert client.get("/condor/", auth=ADA).status_code == 200
