"""What `import flask_condor` does, and what a simple app leaves alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import flask_condor


def modules_after(code: str) -> set[str]:
    command = [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_the_public_names_are_few_sorted_and_there() -> None:
    assert flask_condor.__all__ == sorted(flask_condor.__all__)
    assert all(hasattr(flask_condor, name) for name in flask_condor.__all__)


def test_importing_it_imports_neither_sqlalchemy_nor_gunicorn_nor_asgiref() -> None:
    assert modules_after("import flask_condor").isdisjoint({"sqlalchemy", "gunicorn", "asgiref"})


def test_an_app_that_fires_and_puts_off_jobs_needs_no_database_and_no_thread() -> None:
    code = """
import threading
from flask import Flask
from flask_condor import Condor, Event
app = Flask("simple")
Condor(app)
manager = app.extensions["condor"]
manager.register("x", lambda event, ctx: None)
manager.register("x", lambda event, ctx: None, run="after_response")
manager.fire(Event("x"))
assert threading.active_count() == 1
"""
    left_alone = {"sqlalchemy", "sqlite3", "flask_condor.recorder", "flask_condor.recording", "flask_condor.rates"}
    left_alone |= {"flask_condor.subscribers", "flask_condor.payload_type"}
    assert modules_after(code).isdisjoint(left_alone)


def test_a_log_that_records_only_the_queue_starts_no_thread_either() -> None:
    code = """
import threading
from flask import Flask
from flask_condor import Condor, Event
for word in ("queued", "off"):
    app = Flask("simple")
    app.config.update(CONDOR_DATABASE_URL="sqlite:///never-made.db", CONDOR_LOG=word)
    Condor(app)
    manager = app.extensions["condor"]
    manager.register("x", lambda event, ctx: None)
    manager.register("x", lambda event, ctx: None, run="after_response")
    manager.fire(Event("x"))
assert threading.active_count() == 1
"""
    assert modules_after(code).isdisjoint({"flask_condor.recorder", "flask_condor.recording"})


def test_the_first_job_that_waits_for_a_commit_imports_sqlalchemy_at_start() -> None:
    code = """
from flask import Flask
from flask_condor import Condor
app = Flask("simple")
Condor(app)
app.extensions["condor"].register("x", lambda event, ctx: None, run="after_commit")
"""
    assert {"sqlalchemy.orm", "flask_condor.transactions"} <= modules_after(code)


QUEUES = """
from flask import Flask
from flask_condor import Condor, Event
app = Flask("queues", instance_path=FOLDER)
Condor(app)
manager = app.extensions["condor"]
def job(event, ctx): ...
"""


def test_an_app_without_queued_jobs_that_fires_everything_else_imports_no_sqlalchemy(tmp_path: Path) -> None:
    code = f"""FOLDER = {str(tmp_path / "instance")!r}{QUEUES}
manager.register("x", job)
with app.test_request_context():
    manager.fire(Event("x"))
    manager.emit("unknown")
assert not manager.queueing.is_needed
"""
    assert modules_after(code).isdisjoint({"sqlalchemy", "sqlite3", "flask_condor.log"})
    assert not (tmp_path / "instance").exists()


def test_an_app_with_queued_jobs_makes_no_database_before_the_first_fire(tmp_path: Path) -> None:
    code = f"""FOLDER = {str(tmp_path / "instance")!r}{QUEUES}
from pathlib import Path
manager.register("x", job, run="queued")
app.test_client().get("/")
assert not Path(FOLDER).exists()
manager.fire(Event("x"))
assert Path(FOLDER, "condor.db").exists()
"""
    modules_after(code)


def test_the_first_queued_job_is_registered_without_a_connection_or_a_thread() -> None:
    code = f"""FOLDER = "/nowhere"{QUEUES}
import threading
app.config["CONDOR_DATABASE_URL"] = "postgresql+psycopg://nobody@127.0.0.1:1/nothing"
manager.register("x", job, run="queued")
assert manager.queueing.is_needed
assert threading.active_count() == 1
"""
    assert "psycopg" not in modules_after(code)
