"""`flask events doctor`: one line for each thing that is right or wrong with an installation, and the next step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor import log_diagnosis
from flask_condor.cli import events
from flask_condor.diagnosis import diagnose
from flask_condor.models import VERSION
from flask_condor.models import deliveries
from flask_condor.models import versions
from flask_condor.presence import Presence
from flask_condor.presence import sign_in
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import create_engine
from sqlalchemy import update
from sqlalchemy.orm import scoped_session
from sqlalchemy.orm import sessionmaker

from tests.flask_processes import flask
from tests.flask_processes import write_files
from tests.test_loading import APP
from tests.test_loading import BARE
from tests.test_loading import REGISTERS


def mail(event: Event[Any], ctx: Context) -> None:
    pass


def diagnosed(app: Flask, status: int = 0) -> dict[str, tuple[str, str]]:
    """Return what doctor finds: the state and the text of each subject."""
    result = app.test_cli_runner().invoke(events, ["doctor", "--json"])
    assert (result.exit_code, result.stderr) == (status, ""), result.output
    found = [json.loads(line) for line in result.stdout.splitlines()]
    return {one["subject"]: (one["state"], one["found"]) for one in found}


def new_app(folder: Path, url: str | None = None, **options: Any) -> Flask:
    app = Flask("new", instance_path=str(folder / "instance"))
    if url is not None:
        app.config["CONDOR_DATABASE_URL"] = url
    Condor(app, **options)
    app.extensions["condor"].register("a.b", mail)
    return app


def test_a_simple_app_is_in_order_and_needs_no_log(tmp_path: Path) -> None:
    found = diagnosed(new_app(tmp_path))

    assert {state for state, _ in found.values()} == {"ok"}
    assert list(found) == ["app", "Condor", "settings", "events", "event log", "ingress", "extras"]
    assert found["events"][1].startswith("1 registered, with 1 job: ")
    assert found["event log"][1].startswith("off: ") and found["settings"][1] == "valid: all at their defaults"


def test_it_is_printed_in_columns_too(tmp_path: Path) -> None:
    header, _, first, *_ = new_app(tmp_path).test_cli_runner().invoke(events, ["doctor"]).stdout.splitlines()

    assert header.split() == ["State", "Subject", "Found"] and first.startswith(
        "ok     app        'new' is loaded, from"
    )


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({}, "none was found: Could not locate a Flask application"),
        ({"app.py": "import sys\nsys.exit('no key')\n"}, "it ends the process while it is loaded, with 'no key'"),
        (
            {"app.py": APP, "register_events.py": "\n1 / 0"},
            "register_events.py:2: ZeroDivisionError: division by zero.",
        ),
        ({"app.py": APP, "register_events.py": REGISTERS.format("1 / 0")}, "register_events.py:5: ZeroDivisionError"),
        ({"app.py": "def x(:"}, "app.py:1: SyntaxError: invalid syntax. Correct it, and run this"),
        ({"app.py": "raise ValueError('is it a port?')"}, "app.py:1: ValueError: is it a port? Correct it"),
    ],
    ids=["no app", "exit", "import", "call", "syntax", "question"],
)
def test_an_app_that_cannot_be_loaded_is_told_with_file_and_line(
    tmp_path: Path, files: dict[str, str], told: str
) -> None:
    ended = flask(write_files(tmp_path, files), "events", "doctor", "--json")

    app, extras = map(json.loads, ended.stdout.splitlines())
    assert (ended.returncode, ended.stderr) == (1, "")
    assert (app["state"], app["subject"], extras["subject"]) == ("error", "app", "extras") and told in app["found"]


def test_an_app_without_condor_is_told_what_to_add(tmp_path: Path) -> None:
    ended = flask(write_files(tmp_path, {"app.py": BARE}), "events", "doctor")

    assert ended.returncode == 1 and "Traceback" not in ended.stderr
    assert "Add `from flask_condor import Condor`, and `Condor(app, register_events=register_events)`" in ended.stdout


def test_no_events_and_settings_that_came_too_late_are_warned_of() -> None:
    app = Flask("new")
    Condor(app)
    app.config["CONDOR_MAX_DEPTH"] = 5

    found = diagnosed(app)

    assert found["events"][0] == "warning" and "Pass register_events=register_events" in found["events"][1]
    assert found["settings"] == (
        "warning",
        "changed after Condor(app) had read them, to no effect. Set them before that line.",
    )
    app.config["CONDOR_MAX_DEPTH"] = "deep"
    assert "CONDOR_MAX_DEPTH is 'deep'" in diagnosed(app, 1)["settings"][1]


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    app = new_app(tmp_path, f"sqlite:///{tmp_path / 'deep' / 'condor.db'}")

    found = diagnosed(app)

    assert found["database"] == (
        "ok",
        f"{tmp_path}/deep/condor.db is not made yet: the first event that is kept makes it",
    )
    assert found["tables"][1].startswith("not made yet") and list(tmp_path.iterdir()) == []


def test_the_journal_and_tables_of_a_file_are_left_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    with create_engine(f"sqlite:///{path}").begin() as connection:
        connection.exec_driver_sql("CREATE TABLE rows (id)")
    before = path.read_bytes()

    found = diagnosed(new_app(tmp_path, f"sqlite:///{path}"))

    assert found["SQLite"][1].endswith("journal mode delete") and path.read_bytes() == before


def test_a_log_in_order_is_told_with_its_workers(durable_manager: EventsManager) -> None:
    durable_manager.register("a.b", mail, run="queued")
    durable_manager.fire(Event("a.b"))
    with durable_manager.log.begin() as connection:
        sign_in(connection, Presence.here(4, ("default",)))

    found = diagnosed(durable_manager.app)

    assert {state for state, _ in found.values()} == {"ok"}
    assert found["tables"][1] == f"there, of version {VERSION}"
    assert found["workers"][1] == "1 seen in the last 30 s, 1 deliveries due"
    assert found["transactions"][1].startswith("queued events commit by themselves")
    assert "clock" in found or "SQLite" in found


def test_what_waits_without_a_worker_is_dead_or_has_no_job_is_told(durable_manager: EventsManager) -> None:
    durable_manager.register("a.b", mail, run="queued")
    for _ in range(3):
        durable_manager.fire(Event("a.b"))
    with durable_manager.log.begin() as connection:
        connection.execute(update(deliveries).where(deliveries.c.id == 1).values(state="dead"))

    found = diagnosed(durable_manager.app)

    assert found["workers"] == ("warning", "2 waiting, no worker seen: run `flask events worker`.")
    assert found["dead"][0] == "warning" and found["dead"][1].startswith("1 dead: `flask events log --state dead`")
    durable_manager.unregister("a.b", mail)
    state, told = diagnosed(durable_manager.app, 1)["deliveries"]
    assert state == "error" and told.startswith(
        "2 of event 'a.b' wait for job tests.test_diagnosing:mail, which is not"
    )


def test_what_has_no_job_is_met_at_the_head_of_each_queue(
    durable_manager: EventsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_diagnosis, "LOOKED_AT", 2)
    durable_manager.register("a.b", mail, run="queued")
    durable_manager.register("c.d", mail, run="queued", queue="later")
    for name in ("a.b", "a.b", "a.b", "c.d"):
        durable_manager.fire(Event(name))
    for name in ("a.b", "c.d"):
        durable_manager.unregister(name, mail)

    said = [one.said for one in diagnose(durable_manager.app) if one.subject == "deliveries"]

    assert [one.partition(" for ")[0] for one in said] == ["2+ of event 'a.b' wait", "1 of event 'c.d' wait"]


def test_tables_of_another_version_are_an_error(durable_manager: EventsManager) -> None:
    durable_manager.register("a.b", mail, run="queued")
    durable_manager.fire(Event("a.b"))
    with durable_manager.log.engine.begin() as connection:
        connection.execute(update(versions).values(version=VERSION + 1))

    found = diagnosed(durable_manager.app, 1)

    assert found["tables"][0] == "error" and f"are of version {VERSION + 1}" in found["tables"][1]
    assert "workers" not in found


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql+psycopg://ada:secret@127.0.0.1:1/nothing", "Is the server running"),
        ("postgresql+pg8000://127.0.0.1/nothing", "pip install"),
    ],
)
def test_a_database_that_cannot_be_reached_is_one_error_without_its_password(
    tmp_path: Path, url: str, told: str
) -> None:
    found = diagnosed(new_app(tmp_path, url), 1)

    assert found["database"][0] == "error" and told in found["database"][1]
    assert "secret" not in str(found) and "tables" not in found


def test_a_file_that_is_no_database_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "condor.db").write_text("no database\n" * 100)

    found = diagnosed(new_app(tmp_path, f"sqlite:///{tmp_path / 'condor.db'}"), 1)

    assert "is no SQLite database" in found["database"][1]


@pytest.mark.parametrize(("seconds", "state"), [(5, "warning"), (20, "ok")])
def test_transactions_of_flask_sqlalchemy_in_the_same_file_are_joined_and_its_timeout_looked_at(
    tmp_path: Path, seconds: int, state: str
) -> None:
    app = Flask("orders", instance_path=str(tmp_path))
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{tmp_path / 'app.db'}"
    SQLAlchemy(app, engine_options={"connect_args": {"timeout": seconds}})
    Condor(app)
    app.extensions["condor"].register("a.b", mail, run="queued")

    before = diagnosed(app)
    app.extensions["condor"].fire(Event("a.b"))
    after = diagnosed(app)

    assert (
        before["transactions"]
        == after["transactions"]
        == (
            "ok",
            "queued events commit and roll back with the app's own rows",
        )
    )
    assert "timeout" not in before and after["timeout"][0] == state
    assert f" after {seconds} s " in after["timeout"][1] or f" waits {seconds} s " in after["timeout"][1]
    wanted = 'SQLALCHEMY_ENGINE_OPTIONS = {"connect_args": {"timeout": 20}}'
    assert (wanted in after["timeout"][1]) == (state == "warning")


def test_a_database_in_memory_is_warned_of(tmp_path: Path) -> None:
    app = Flask("orders", instance_path=str(tmp_path))
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
    SQLAlchemy(app)
    Condor(app)
    app.extensions["condor"].register("a.b", mail, run="queued")

    state, told = diagnosed(app)["SQLite"]

    assert state == "warning" and "in memory: what is queued ends with the process" in told


def test_a_session_of_another_database_is_said_not_to_be_atomic(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'app.db'}", connect_args={"timeout": 20})
    session = scoped_session(sessionmaker(engine))
    app = new_app(tmp_path, f"sqlite:///{tmp_path / 'condor.db'}", session=session)

    before = diagnosed(app)
    app.extensions["condor"].register("c.d", mail, run="queued")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE rows (id)")
    app.extensions["condor"].fire(Event("c.d"))
    after = diagnosed(app)

    assert before["transactions"] == after["transactions"] and after["transactions"][0] == "warning"
    assert "killed in between, they are lost" in after["transactions"][1]
    assert "timeout" not in after


def test_which_extras_are_installed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ["flask>=3.1", 'croniter>=6; extra == "cron"', "no-such-package[x]>=3; extra == 'celery'"]
    monkeypatch.setattr("flask_condor.diagnosis.requires", lambda _: asked)

    assert diagnosed(new_app(tmp_path))["extras"] == (
        "ok",
        "installed: flask[async], flask-condor[cron]; if you need them, pip install 'flask-condor[celery]'",
    )
