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

{names}
from events.jobs.{job} import {job}


def test_{job}() -> None:
    app = Flask("test")
    Condor(app)

    with app.app_context():
        {job}(Event({constant}, {{}}), ctx)
'''


def job_file(job: str, name: str, *, grouped: bool) -> str:
    """Write the file of a job that does nothing yet."""
    imports = import_lines("flask_condor", ["Context", "Event"], grouped=grouped)
    told = name.replace("\\", "\\\\").replace('"', '\\"')
    return JOB.format(job=job, name=told, imports="\n".join(imports))


def test_file(job: str, constant: str, *, grouped: bool) -> str:
    """Write a test that calls a job as the manager does."""
    imports = ["from flask import Flask"]
    imports += import_lines("flask_condor", ["Condor", "Event", "ctx"], grouped=grouped)
    names = import_lines("events.event_names", [constant], grouped=False)
    return TEST.format(job=job, constant=constant, imports="\n".join(imports), names="\n".join(names))
