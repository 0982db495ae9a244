"""Where the ingress is mounted at all: with a secret or a token, else in debug mode, for who is at this machine."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from flask_condor import Condor
from flask_condor import EventsManager
from flask_condor.errors import ConfigInvalid
from flask_condor.ingress.tokens import create
from flask_condor.signature import sign

from tests.databases import new_database
from tests.flask_processes import flask
from tests.flask_processes import write_files

SECRET = "whsec_" + "c2Vj" * 8
BODY = b'{"event":"order.paid","payload":{}}'
ENDPOINT = "condor_ingress"


def new_app(folder: Path, **settings: Any) -> Flask:
    app = Flask("receiver", instance_path=str(folder))
    app.config.update(settings)
    return app


def mounted(app: Flask) -> EventsManager:
    Condor(app)
    manager: EventsManager = app.extensions["condor"]
    return manager


def is_mounted(app: Flask) -> bool:
    return any(rule.endpoint.startswith(ENDPOINT) for rule in app.url_map.iter_rules())


def token_in(manager: EventsManager, **options: Any) -> str:
    with manager.log.begin() as connection:
        return create(connection, "shop", actor="me", **options).token


def status(app: Flask, **headers: str) -> int:
    return (
        app.test_client()
        .post("/trigger", data=BODY, headers={**headers, "Content-Type": "application/json"})
        .status_code
    )


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def actions(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [vars(line)["action"] for line in caplog.records if "action" in vars(line)]


def test_without_secret_and_token_there_is_no_route(tmp_path: Path) -> None:
    app = new_app(tmp_path)
    manager = mounted(app)

    assert status(app) == 404 and not is_mounted(app)
    assert not manager.queueing.is_needed and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("secrets", [[], ()])
def test_no_secrets_are_no_secret(tmp_path: Path, secrets: Any) -> None:
    app = new_app(tmp_path, CONDOR_TRIGGER_SECRETS=secrets)
    mounted(app)

    assert status(app) == 404


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_c2hvcnQ=", "not base64 at all"])
def test_a_secret_that_is_none_stops_the_start_and_is_not_shown(tmp_path: Path, secret: str) -> None:
    with pytest.raises(ConfigInvalid, match="CONDOR_TRIGGER_SECRETS") as refused:
        mounted(new_app(tmp_path, CONDOR_TRIGGER_SECRETS=[SECRET, secret]))

    assert SECRET not in str(refused.value) and (not secret or secret not in str(refused.value).replace('"whsec_"', ""))


def test_with_a_secret_only_what_is_signed_goes_in(tmp_path: Path) -> None:
    app = new_app(tmp_path, CONDOR_TRIGGER_SECRETS=[SECRET])
    manager = mounted(app)

    assert manager.queueing.is_needed
    assert (status(app), status(app, **sign(SECRET, "m", time.time(), BODY))) == (401, 200)
    assert app.test_client().get("/trigger").status_code == 405


@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "default", "flask-sqlalchemy"])
def test_with_a_token_in_the_log_only_a_token_goes_in(tmp_path: Path, kind: str) -> None:
    (elsewhere := tmp_path / "elsewhere").mkdir()
    with new_database("postgresql" if kind == "postgresql" else "sqlite", elsewhere) as url:
        settings = {} if kind == "default" else {"CONDOR_DATABASE_URL": url}
        first = mounted(new_app(tmp_path, **settings))
        token = token_in(first)
        first.log.engine.dispose()
        app = new_app(tmp_path, **({"SQLALCHEMY_DATABASE_URI": url} if kind == "flask-sqlalchemy" else settings))
        if kind == "flask-sqlalchemy":
            from flask_sqlalchemy import SQLAlchemy

            SQLAlchemy(app)
        manager = mounted(app)

        assert (status(app), status(app, **bearer(token)), status(app, **bearer(f"{token[:-1]}!"))) == (401, 200, 401)
        manager.log.engine.dispose()


def test_a_token_that_has_ended_mounts_nothing(tmp_path: Path) -> None:
    first = mounted(new_app(tmp_path))
    token_in(first, expires_in=1)
    time.sleep(1.1)

    app = new_app(tmp_path)
    mounted(app)

    assert status(app) == 404


def test_while_the_log_is_away_at_start_who_has_a_token_is_put_off(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "condor.db").write_text("this is no database, and long enough for one to be recognised as none" * 100)
    app = new_app(tmp_path)
    mounted(app)

    answer = app.test_client().post("/trigger", data=BODY, headers=bearer(f"condor_{'A' * 43}"))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert status(app) == 401 and "tokens_unknown" in actions(caplog)


def test_while_the_log_is_away_a_route_of_the_app_goes_first(tmp_path: Path) -> None:
    (tmp_path / "condor.db").write_text("no database" * 1000)
    app = new_app(tmp_path)
    app.add_url_rule("/trigger", "my_own", lambda: "mine", methods=["POST"])
    mounted(app)

    assert app.test_client().post("/trigger").text == "mine"


def test_once_the_log_is_back_tokens_are_good_again(tmp_path: Path) -> None:
    first = mounted(new_app(tmp_path))
    token = token_in(first)
    first.log.engine.dispose()
    there, away = tmp_path / "condor.db", tmp_path / "away.db"
    there.rename(away)
    there.write_text("no database" * 1000)
    app = new_app(tmp_path)
    manager = mounted(app)
    assert status(app, **bearer(token)) == 503

    away.rename(there)

    assert status(app, **bearer(token)) == 200
    manager.log.engine.dispose()


def test_an_app_whose_own_database_could_keep_no_log_starts_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flask_sqlalchemy import SQLAlchemy

    app = new_app(tmp_path, SQLALCHEMY_DATABASE_URI="mysql://nowhere/app")
    monkeypatch.setitem(sys.modules, "MySQLdb", SimpleNamespace(paramstyle="format", version_info=(2, 2, 0)))
    SQLAlchemy(app)
    mounted(app)

    assert not is_mounted(app)


def test_a_path_that_the_app_answers_itself_is_refused_naming_the_endpoint(tmp_path: Path) -> None:
    app = new_app(tmp_path, CONDOR_TRIGGER_SECRETS=[SECRET])
    app.add_url_rule("/trigger", "my_own", lambda: "mine", methods=["POST"])

    with pytest.raises(ConfigInvalid, match="CONDOR_TRIGGER_URL.*'my_own'"):
        mounted(app)


def test_a_page_at_that_path_that_takes_no_post_is_no_hindrance(tmp_path: Path) -> None:
    app = new_app(tmp_path, CONDOR_TRIGGER_SECRETS=[SECRET])
    app.add_url_rule("/trigger", "my_own", lambda: "mine")
    mounted(app)

    assert status(app) == 401 and app.test_client().get("/trigger").text == "mine"


def debugged(app: Flask) -> Flask:
    app.debug = True
    return app


def test_in_debug_mode_it_is_open_to_this_machine_and_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = debugged(new_app(tmp_path))
    manager = mounted(app)
    assert actions(caplog) == [] and not manager.queueing.is_needed

    assert [status(app), status(app)] == [200, 200]
    assert app.test_client().post("/trigger", data=BODY, environ_base={"REMOTE_ADDR": "192.0.2.7"}).status_code == 404
    assert actions(caplog).count("ingress_open") == 1 and manager.queueing.is_needed


@pytest.mark.parametrize("has_token", [True, False], ids=["a token", "no token"])
def test_in_debug_mode_it_is_open_or_not_as_soon_as_the_log_can_be_asked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, has_token: bool
) -> None:
    first = mounted(new_app(tmp_path))
    token_in(first, **({} if has_token else {"expires_in": 1}))
    first.log.engine.dispose()
    there, away = tmp_path / "condor.db", tmp_path / "away.db"
    there.rename(away)
    there.write_text("no database" * 1000)
    app = debugged(new_app(tmp_path))
    manager = mounted(app)
    assert status(app) == 503 and "ingress_open" not in actions(caplog)

    away.rename(there)
    time.sleep(0 if has_token else 1.1)

    assert status(app) == (401 if has_token else 200)
    assert ("ingress_open" in actions(caplog)) is not has_token
    manager.log.engine.dispose()


def test_in_debug_mode_a_secret_closes_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    app = debugged(new_app(tmp_path, CONDOR_TRIGGER_SECRETS=[SECRET]))
    mounted(app)

    assert status(app) == 401 and "ingress_open" not in actions(caplog)


def test_in_debug_mode_a_route_of_the_app_goes_first(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    app = debugged(new_app(tmp_path))
    app.add_url_rule("/trigger", "my_own", lambda: "mine", methods=["POST"])
    mounted(app)

    with caplog.at_level(logging.INFO):
        assert app.test_client().post("/trigger").text == "mine"
    assert actions(caplog) == ["dashboard_open", "ingress_left_out"]


@pytest.mark.parametrize("is_debug", [True, False], ids=["debug", "log away"])
def test_so_does_one_that_the_app_is_given_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, is_debug: bool
) -> None:
    app = new_app(tmp_path)
    app.debug = is_debug
    if not is_debug:
        (tmp_path / "condor.db").write_text("no database" * 1000)
    mounted(app)
    app.add_url_rule("/trigger", "my_own", lambda: "mine", methods=["POST"])

    with caplog.at_level(logging.INFO):
        texts = [app.test_client().post("/trigger").text for _ in range(2)]
    assert texts == ["mine", "mine"] and actions(caplog).count("ingress_left_out") == 1


def test_a_later_route_that_nobody_reaches_is_an_error_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = new_app(tmp_path, CONDOR_TRIGGER_SECRETS=[SECRET])
    mounted(app)
    app.add_url_rule("/trigger", "my_own", lambda: "mine", methods=["POST"])

    assert [status(app), status(app)] == [401, 401] and actions(caplog).count("route_shadowed") == 1


def test_another_path_is_taken_from_the_setting(tmp_path: Path) -> None:
    app = new_app(tmp_path, CONDOR_TRIGGER_SECRETS=[SECRET], CONDOR_TRIGGER_URL="/hooks/in")
    mounted(app)

    assert status(app) == 404 and app.test_client().post("/hooks/in", data=BODY).status_code == 401


APP = """
    from flask import Flask
    from flask_condor import Condor
    app = Flask("app")
    Condor(app)
    """


def test_an_app_that_keeps_nothing_imports_nothing_for_it(tmp_path: Path) -> None:
    write_files(tmp_path, {"app.py": APP})
    code = "import json, sys, app; print(json.dumps([name for name in sys.modules if 'sqlalchemy' in name]))"

    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)

    assert (json.loads(done.stdout), done.stderr) == ([], "")
    assert not (tmp_path / "instance").exists()


def test_no_command_says_that_it_is_open(tmp_path: Path) -> None:
    write_files(tmp_path, {"app.py": APP})

    done = flask(tmp_path, "--debug", "routes")

    assert "/trigger" in done.stdout and done.stderr == "" and not (tmp_path / "instance").exists()
