"""`flask events doctor` on the ingress: who may send, and what of that means nothing or soon will end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flask import Flask
from flask_condor import Condor
from flask_condor import EventsManager
from flask_condor.ingress.tokens import create
from flask_condor.ingress.tokens import rotate

from tests.commands import run
from tests.flask_processes import flask
from tests.flask_processes import write_files

SECRET = "whsec_" + "c2Vj" * 8
DAY = 24 * 3600


def manager_of(folder: Path, **settings: Any) -> EventsManager:
    app = Flask("new", instance_path=str(folder))
    app.config.update(settings)
    Condor(app)
    manager: EventsManager = app.extensions["condor"]
    manager.register("order.paid", lambda event, ctx: None)
    return manager


def remarks(manager: EventsManager, subject: str) -> list[str]:
    """Return "state text" of each remark on *subject*."""
    lines = (line.split(maxsplit=2) for line in run(manager, "doctor").stdout.splitlines()[2:])
    return [f"{state} {said}" for state, about, said in lines if about == subject]


def test_it_says_whether_and_from_whom_events_are_taken(tmp_path: Path) -> None:
    bare, debugged = manager_of(tmp_path), Flask("debugged", instance_path=str(tmp_path))
    debugged.debug = True
    Condor(debugged)

    assert remarks(bare, "ingress")[0].startswith("ok not mounted")
    assert remarks(debugged.extensions["condor"], "ingress")[0].startswith("ok POST /trigger is open to this machine")
    signed = manager_of(tmp_path, CONDOR_TRIGGER_SECRETS=[SECRET, SECRET])
    assert remarks(signed, "ingress") == ["ok POST /trigger takes signatures by 2 secrets and tokens"]
    assert not (tmp_path / "condor.db").exists()


def test_an_allowed_name_that_is_no_events_is_told(tmp_path: Path) -> None:
    allowed = ["order.*", "order.payed", "user.*"]

    _, *told = remarks(manager_of(tmp_path, CONDOR_TRIGGER_EVENTS=allowed), "ingress")
    _, strictly, _ = remarks(manager_of(tmp_path, CONDOR_TRIGGER_EVENTS=allowed, CONDOR_TRIGGER_STRICT=True), "ingress")

    assert [one.split("'")[1] for one in told] == ["order.payed", "user.*"]
    assert "stored, and runs nothing" in told[0] and "refused" in strictly


def test_tokens_that_end_within_a_week_and_those_for_no_event_are_told(tmp_path: Path) -> None:
    first = manager_of(tmp_path)
    with first.log.begin() as connection:
        create(connection, "soon", expires_in=3 * DAY, actor="me")
        create(connection, "later", expires_in=8 * DAY, actor="me")
        create(connection, "followed", expires_in=8 * DAY, actor="me")
        rotate(connection, "followed", actor="me")
        create(connection, "lost", ["user.*"], actor="me")

    manager = manager_of(tmp_path)

    lost, soon, count = remarks(manager, "tokens")
    assert soon == "warning 'soon' expires in 3 days: `flask events token create soon --rotate` makes the next."
    assert lost == "warning 'lost' may send 'user.*', and no registered event is named so."
    assert count.startswith("ok 4 live")


def test_a_missing_package_is_told_with_what_to_install(tmp_path: Path) -> None:
    text = f"""
        import sys
        from flask import Flask
        from flask_condor import Condor
        sys.modules["standardwebhooks"] = None
        app = Flask("app")
        app.config["CONDOR_TRIGGER_SECRETS"] = ["{SECRET}"]
        Condor(app)
        """
    done = flask(write_files(tmp_path, {"app.py": text}), "events", "doctor")

    assert done.returncode == 1 and "pip install 'flask-condor[webhooks]'" in done.stdout
    assert SECRET not in done.stdout + done.stderr
