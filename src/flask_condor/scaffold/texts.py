"""What stands in the files that are made anew."""

from __future__ import annotations

from .imports import import_lines

NAMES = '"""The names of the events: what has happened, never what is to be done."""\n'

REGISTER = '''"""Which job runs for which event: the whole program's reactions on one screen."""

from __future__ import annotations


def register_events() -> None:
    """Register jobs, a line each. `flask events gen event USER_VERIFIED --job send_badge` writes the first."""
'''

JOB = '''from __future__ import annotations

{imports}


def {job}(event: Event, ctx: Context) -> None:
    """Do what follows from {name}; event.payload holds what was fired with it."""
'''

TEST = '''"""The job {job}."""

from __future__ import annotations

{imports}

{own}


{fixture}def test_{job}(app: Flask) -> None:
    with app.app_context():
        {job}(Event({constant}, {{}}), ctx)
'''

FIXTURE = """@pytest.fixture
def app() -> Flask:
    app = Flask("test")
    Condor(app, register_events=register_events)
    return app


"""


def job_file(job: str, name: str, *, grouped: bool) -> str:
    """Write the file of a job that does nothing yet."""
    imports = import_lines("flask_condor", ["Context", "Event"], grouped=grouped)
    told = name.replace("\\", "\\\\").replace('"', '\\"')
    return JOB.format(job=job, name=told, imports="\n".join(imports))


def test_file(job: str, constant: str, *, grouped: bool, has_app: bool) -> str:
    """Write a test that calls a job as the manager does.

    :param has_app: whether there is a fixture that returns the app; the test brings one otherwise.
    """
    imports = ["from flask import Flask"] if has_app else ["import pytest", "from flask import Flask"]
    names = ["Event", "ctx"] if has_app else ["Condor", "Event", "ctx"]
    imports += import_lines("flask_condor", names, grouped=grouped)
    own = import_lines("events.event_names", [constant], grouped=False)
    own += import_lines(f"events.jobs.{job}", [job], grouped=False)
    own += [] if has_app else ["from register_events import register_events"]
    fixture = "" if has_app else FIXTURE
    return TEST.format(job=job, constant=constant, imports="\n".join(imports), own="\n".join(own), fixture=fixture)
