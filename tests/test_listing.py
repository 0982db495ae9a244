"""`flask events list`: every event and its jobs, in the order in which they run."""

from __future__ import annotations

import json
from typing import Any

from flask import Flask
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor.cli import events

from tests.test_import import modules_after

HERE = "tests/test_listing.py"


def mail(event: Event[Any], ctx: Context) -> None:
    pass


def count(event: Event[Any], ctx: Context) -> None:
    pass


def printed(app: Flask, *args: str) -> str:
    result = app.test_cli_runner().invoke(events, ["list", *args])
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def test_events_are_listed_by_name_and_their_jobs_in_the_order_they_run(
    app: Flask, events_manager: EventsManager
) -> None:
    events_manager.register("user.registered", mail, run="after_response")
    events_manager.register("user.registered", count, mail)
    events_manager.register("order.paid", mail)
    events_manager.register("file.uploaded")

    header, rule, *rows = printed(app).splitlines()

    assert header.split() == ["Event", "Run", "Job", "Registered"] and set(rule) == {"-", " "}
    assert [row.split()[:3] for row in rows] == [
        ["file.uploaded", "-", "-"],
        ["order.paid", "now", "tests.test_listing:mail"],
        ["user.registered", "now", "tests.test_listing:count"],
        ["user.registered", "now", "tests.test_listing:mail"],
        ["user.registered", "after_response", "tests.test_listing:mail"],
    ]
    assert rows[0].split()[3] == "-" and all(row.split()[3].startswith(f"{HERE}:") for row in rows[1:])


def test_as_json_each_job_is_one_object_a_line(app: Flask, events_manager: EventsManager) -> None:
    events_manager.register("order.paid", mail)
    events_manager.register("file.uploaded")

    declared, job = map(json.loads, printed(app, "--json").splitlines())

    assert declared == {"event": "file.uploaded", "run": None, "job": None, "registered": None}
    assert job.pop("registered").startswith(f"{HERE}:")
    assert job == {"event": "order.paid", "run": "now", "job": "tests.test_listing:mail"}


def test_an_app_without_events_says_so(app: Flask) -> None:
    assert printed(app) == "No events were registered.\n" and printed(app, "--json") == ""


def test_a_list_imports_no_sqlalchemy() -> None:
    code = """
from flask import Flask
from flask_condor import Condor
from flask_condor.cli import events
app = Flask("simple")
Condor(app)
app.extensions["condor"].register("a.b", lambda event, ctx: None)
app.test_cli_runner().invoke(events, ["list"])
"""
    loaded = modules_after(code)

    assert "flask_condor.commands.listing" in loaded
    assert loaded.isdisjoint({"sqlalchemy", "sqlite3", "flask_condor.log", "flask_condor.commands.stored"})
