"""Who may see the dashboard, and do what: nobody anything, until there is a rule."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask
from flask import Request
from flask_condor import Condor
from flask_condor.dashboard import access
from flask_condor.dashboard.access import REMEMBERED
from flask_condor.dashboard.access import KnownPasswords
from werkzeug.security import check_password_hash
from werkzeug.security import generate_password_hash

from tests.dashboard.apps import ADA
from tests.dashboard.apps import SAME_SITE
from tests.dashboard.apps import USERS
from tests.dashboard.apps import dashboard_rules
from tests.dashboard.apps import make_app

NEARBY = {"REMOTE_ADDR": "127.0.0.1"}
FAR = {"REMOTE_ADDR": "192.0.2.7"}


def test_without_a_rule_there_is_no_route_at_all(tmp_path: Path) -> None:
    app = make_app(tmp_path)

    assert dashboard_rules(app) == []
    assert app.test_client().get("/condor/").status_code == 404


def test_without_a_rule_an_app_does_not_pay_for_the_dashboard(tmp_path: Path) -> None:
    app = Flask("bare", instance_path=str(tmp_path))
    Condor(app)

    assert not app.extensions["condor"].queueing.is_needed


def test_no_route_answers_a_stranger(tmp_path: Path) -> None:
    app = make_app(tmp_path, users=USERS)
    client = app.test_client()

    rules = dashboard_rules(app)
    answers = [client.open(path, method=method, headers=SAME_SITE) for path, method in rules]

    assert len(rules) > 5
    assert {answer.status_code for answer in answers} == {401}
    assert all(answer.headers["WWW-Authenticate"].startswith("Basic") for answer in answers)
    assert all(len(answer.data) < 200 for answer in answers)


def test_no_route_answers_whom_the_app_refuses_everything(tmp_path: Path) -> None:
    app = make_app(tmp_path, authorize=lambda action, request: False)
    client = app.test_client()

    answers = [client.open(path, method=method, headers=SAME_SITE) for path, method in dashboard_rules(app)]

    assert {answer.status_code for answer in answers} == {403}
    assert all("WWW-Authenticate" not in answer.headers for answer in answers)


def test_whoever_may_only_look_gets_pages_and_no_action(tmp_path: Path) -> None:
    app = make_app(tmp_path, users=USERS, authorize=lambda action, request: action == "view")
    client = app.test_client()

    rules = dashboard_rules(app)
    changed = [client.post(path, headers=SAME_SITE, auth=ADA).status_code for path, method in rules if method == "POST"]

    assert client.get("/condor/", auth=ADA).status_code == 200
    assert set(changed) <= {403}


def test_users_come_in_with_their_password_only(tmp_path: Path) -> None:
    client = make_app(tmp_path, users=USERS).test_client()
    wrong = [("ada", "wrong"), ("ada", ""), ("eve", "correct horse"), ("", ""), ("ada", "x" * 5000)]

    refused = [client.get("/condor/", auth=pair).status_code for pair in wrong]

    assert refused == [401] * len(wrong)
    assert client.get("/condor/", auth=ADA).status_code == 200
    assert client.get("/condor/", auth=("ada", "wrong")).status_code == 401


@pytest.mark.parametrize("header", ["Basic", "Basic !!!", "Bearer abc", "Basic YWRh", "Digest username=ada", "\xff"])
def test_a_header_that_cannot_be_read_is_no_password(tmp_path: Path, header: str) -> None:
    client = make_app(tmp_path, users=USERS).test_client()

    assert client.get("/condor/", headers={"Authorization": header}).status_code == 401


def test_the_app_decides_for_each_action_also_for_users(tmp_path: Path) -> None:
    asked: list[tuple[str, str | None]] = []

    def authorize(action: str, request: Request) -> bool:
        asked.append((action, request.authorization.username if request.authorization else None))
        return True

    client = make_app(tmp_path, users=USERS, authorize=authorize).test_client()

    assert client.get("/condor/").status_code == 401
    assert asked == []
    assert client.get("/condor/", auth=ADA).status_code == 200
    assert ("view", "ada") in asked


def test_in_debug_mode_it_is_open_to_this_machine_only_and_says_so(tmp_path: Path) -> None:
    client = make_app(tmp_path, debug=True).test_client()

    near = client.get("/condor/", environ_overrides=NEARBY)
    answers = [
        client.get("/condor/", environ_overrides=FAR),
        client.get("/condor/", environ_overrides=NEARBY, headers={"X-Forwarded-For": "192.0.2.7"}),
        client.get("/condor/", environ_overrides=NEARBY, headers={"Host": "evil.example"}),
    ]

    assert near.status_code == 200
    assert "Open to every user of this machine" in near.text
    assert [answer.status_code for answer in answers] == [404] * 3


def test_in_debug_mode_users_are_asked_all_the_same(tmp_path: Path) -> None:
    client = make_app(tmp_path, debug=True, users=USERS).test_client()

    assert client.get("/condor/", environ_overrides=NEARBY).status_code == 401
    assert "Open to every user" not in client.get("/condor/", environ_overrides=NEARBY, auth=ADA).text


def test_in_debug_mode_the_log_is_kept_as_soon_as_the_app_serves_requests(tmp_path: Path) -> None:
    app = Flask("debugged", instance_path=str(tmp_path))
    app.debug = True
    Condor(app)
    before = app.extensions["condor"].queueing.is_needed

    app.test_client().get("/condor/")

    assert (before, app.extensions["condor"].queueing.is_needed) == (False, True)


def test_the_path_is_a_setting(tmp_path: Path) -> None:
    client = make_app(tmp_path, users=USERS, CONDOR_DASHBOARD_URL="/ops/events").test_client()

    page = client.get("/ops/events/", auth=ADA)

    assert page.status_code == 200
    assert 'href="/condor' not in page.text
    assert client.get("/condor/", auth=ADA).status_code == 404


def test_a_right_password_is_hashed_once_and_a_wrong_one_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    known, hashings = KnownPasswords(USERS), []

    def check(stored: str, given: str) -> bool:
        hashings.append(given)
        return check_password_hash(stored, given)

    monkeypatch.setattr(access, "check_password_hash", check)
    right = [known.is_right("ada", "correct horse") for _ in range(3)]
    wrong = [known.is_right("ada", "wrong") for _ in range(3)]

    assert (right, wrong) == ([True] * 3, [False] * 3)
    assert hashings == ["correct horse", *["wrong"] * 3]


def test_a_name_that_there_is_not_costs_the_hash_of_one_that_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    known, hashings = KnownPasswords(USERS), []

    def check(stored: str, given: str) -> bool:
        hashings.append(stored)
        return True

    monkeypatch.setattr(access, "check_password_hash", check)

    assert not known.is_right("nobody", "correct horse") and hashings == [USERS["ada"]]


def test_what_is_remembered_of_passwords_is_bounded_and_never_wrong() -> None:
    hashes = {str(number): generate_password_hash("x", "pbkdf2:sha256:1") for number in range(REMEMBERED + 10)}
    known = KnownPasswords(hashes)

    assert all(known.is_right(name, "x") for name in hashes)
    assert not known.is_right("0", "y")
    hashes["1"] = generate_password_hash("y", "pbkdf2:sha256:1")
    assert not known.is_right("1", "x")
    assert len(known._digests) == REMEMBERED
