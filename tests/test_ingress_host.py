"""The ingress inside an app that has CSRF protection and rate limits of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_condor import Condor
from flask_condor.errors import ConfigInvalid
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_wtf import CSRFProtect  # type: ignore[import-untyped]  # it has no types

from tests.triggers import ingress
from tests.triggers import post
from tests.triggers import rows

Prepare = Callable[[Flask], object]
EVENT = {"event": "order.placed"}


def before(app: Flask) -> None:
    CSRFProtect(app)
    Condor(app)


def after(app: Flask) -> None:
    Condor(app)
    CSRFProtect(app)


def by_factory(app: Flask) -> None:
    csrf, condor = CSRFProtect(), Condor()
    condor.init_app(app)
    csrf.init_app(app)


@pytest.mark.parametrize("prepare", [before, after, by_factory])
def test_csrf_protection_leaves_the_ingress_alone_and_nothing_else(prepare: Prepare, tmp_path: Path) -> None:
    app = Flask("shop", instance_path=str(tmp_path))
    app.debug = True
    app.secret_key = "no secret"
    prepare(app)
    app.add_url_rule("/profile", "profile", lambda: "changed", methods=["POST"])

    for _ in range(2):
        assert app.test_client().post("/trigger", json=EVENT).status_code == 200
        assert app.test_client().post("/profile", data={"name": "x"}).status_code == 400
    assert post(app.extensions["condor"], b"{").status_code == 400
    app.extensions["condor"].log.engine.dispose()


def a_limiter(app: Flask) -> None:
    Limiter(get_remote_address, app=app, storage_uri="memory://")


def test_a_limit_is_kept_by_the_limiter_of_the_app(tmp_path: Path) -> None:
    with ingress(f"sqlite:///{tmp_path / 'c.db'}", a_limiter, trigger_limit="2 per hour") as manager:
        answers = [post(manager, EVENT) for _ in range(4)]

        assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
        problem = answers[2]
        assert (problem.content_type, problem.get_json()["rule"]) == ("application/problem+json", "too-often")
        assert "2 per 1 hour" in problem.get_json()["detail"]
        assert 3500 < int(problem.headers["Retry-After"]) <= 3601
        assert len(rows(manager, "events")) == 2


def test_limits_that_the_app_has_for_all_its_routes_are_answered_as_problems_too(tmp_path: Path) -> None:
    def limit_all(app: Flask) -> None:
        Limiter(get_remote_address, app=app, storage_uri="memory://", default_limits=["1 per minute"])

    with ingress(f"sqlite:///{tmp_path / 'c.db'}", limit_all) as manager:
        answers = [post(manager, EVENT) for _ in range(2)]

        assert [answer.status_code for answer in answers] == [200, 429]
        assert answers[1].get_json()["rule"] == "too-often"
        assert 0 < int(answers[1].headers["Retry-After"]) <= 61


def test_one_limiter_for_many_apps_counts_each_request_once(tmp_path: Path) -> None:
    limiter = Limiter(get_remote_address, storage_uri="memory://")
    for number in range(3):
        url = f"sqlite:///{tmp_path / str(number)}"
        with ingress(url, limiter.init_app, trigger_limit="7 per hour") as manager:
            assert [post(manager, EVENT).status_code for _ in range(2)] == [200, 200]


@pytest.mark.parametrize(
    ("prepare", "limit", "said"),
    [
        (bool, "2 per hour", "expected an app with Flask-Limiter: Limiter"),
        (a_limiter, "often", "expected a limit such as"),
    ],
)
def test_a_limit_that_cannot_be_kept_is_an_error_at_start(
    prepare: Prepare, limit: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigInvalid, match=said):
        with ingress(f"sqlite:///{tmp_path / 'c.db'}", prepare, trigger_limit=limit):
            pass


def test_what_the_app_says_before_each_request_holds_here_too(tmp_path: Path) -> None:
    def closed(app: Flask) -> None:
        app.before_request(lambda: ("closed for the night", 503))

    with ingress(f"sqlite:///{tmp_path / 'c.db'}", closed) as manager:
        answer: Any = post(manager, EVENT)

        assert (answer.status_code, answer.text) == (503, "closed for the night")
