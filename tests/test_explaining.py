"""`flask events explain NAME`: what would run, in what order, when, by which rules, and why the rest would not."""

from __future__ import annotations

import json
from typing import Any

from click.testing import Result
from flask import Flask
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor.cli import events
from flask_condor.retry import Retry

HERE = "tests/test_explaining.py:"


def mail(event: Event[Any], ctx: Context) -> None:
    pass


def count(event: Event[Any], ctx: Context) -> None:
    pass


def index(event: Event[Any], ctx: Context) -> None:
    pass


def explain(app: Flask, *args: str) -> Result:
    return app.test_cli_runner().invoke(events, ["explain", *args])


def explained(app: Flask, *args: str) -> str:
    result = explain(app, *args)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def objects(app: Flask, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in explained(app, name, "--json").splitlines()]


def test_jobs_are_told_in_the_order_they_run_with_when_and_where(app: Flask, events_manager: EventsManager) -> None:
    events_manager.register("user.registered", mail, run="after_response")
    events_manager.register("user.registered", count, index)
    events_manager.register("user.registered", mail, run="after_commit")

    told = explained(app, "user.registered")

    assert told.startswith("user.registered: 4 to run, in this order:\n")
    order = [told.index(words) for words in ("test_explaining:count", "test_explaining:index", "after the commit of")]
    assert order == sorted(order) and told.index("after the response;") > order[-1]
    assert told.count("now, in the thread that fires, before fire returns") == 2
    assert told.count(f"registered at {HERE}") == 4


def test_a_queued_job_is_told_with_its_rules(app: Flask, events_manager: EventsManager) -> None:
    events_manager.register("a.b", mail, run="queued", retry=Retry(3, wait=2), timeout=60, priority=5, queue="slow")
    events_manager.register("a.b", count, run="queued", at_most_once=True)
    events_manager.register("a.b", index, run="queued", retry=Retry(max_attempts=1))

    told = explained(app, "a.b")

    assert "at least once, in up to 3 attempts: the second after 2 s, each next wait twice as long" in told
    assert "timeout 60 s, queue slow, priority 5" in told
    assert "in a worker, at most once: a failure, or the loss of its worker, is final; no timeout" in told
    assert "at least once, in 1 attempt: a failure is final" in told


def test_what_would_not_run_is_told_with_the_reason(app: Flask, events_manager: EventsManager) -> None:
    events_manager.register("a.b", mail, count)
    events_manager.register("c.d", index)
    events_manager.register("e.f", index, mail)
    events_manager.signal("a.b").disconnect(count)

    mailed, cut_off, other = objects(app, "a.b")

    assert (mailed["order"], mailed["job"], mailed["why_not"]) == (1, "tests.test_explaining:mail", None)
    assert (cut_off["job"], cut_off["order"]) == ("tests.test_explaining:count", None)
    assert cut_off["why_not"] == "its receiver was disconnected from the signal"
    assert (other["job"], other["why_not"]) == ("tests.test_explaining:index", "registered for c.d, e.f only")
    assert "registered for c.d, e.f only" in explained(app, "a.b")


def test_plain_receivers_are_told_too(app: Flask, events_manager: EventsManager) -> None:
    events_manager.register("a.b", mail)
    events_manager.signal("a.b").connect(count)
    events_manager.signal("c.d").connect(count)

    assert "2  tests.test_explaining:count" in explained(app, "a.b")
    assert "a plain Blinker receiver: not recorded" in explained(app, "a.b")
    assert explained(app, "c.d").startswith("c.d: not registered, so fire() refuses it; emit() calls these")


def test_the_schedules_of_a_name_are_told(app: Flask, events_manager: EventsManager) -> None:
    events_manager.register("a.b", mail)
    events_manager.schedule("a.b", "0 9 * * *", timezone="Europe/Berlin")

    assert "Fired by the clock at 0 9 * * * (Europe/Berlin), next 2" in explained(app, "a.b")
    assert objects(app, "a.b")[1]["schedule"] == "0 9 * * *"


def test_muted_and_disabled_events_are_told_to_run_nothing(app: Flask, events_manager: EventsManager) -> None:
    events_manager.register("a.b", mail)

    with events_manager.signal("a.b").muted():
        assert explained(app, "a.b").startswith("a.b: its signal is muted, so nothing runs.")
    with events_manager.disable():
        assert explained(app, "a.b").startswith("a.b: events are disabled in this app, so nothing runs.")
    assert explained(app, "a.b").startswith("a.b: 1 to run")


def test_a_name_without_jobs_is_told_so(app: Flask, events_manager: EventsManager) -> None:
    events_manager.register("a.b")

    assert explained(app, "a.b") == "a.b: registered, but nothing runs for it.\n"


def test_an_unknown_name_is_refused_with_those_near_it() -> None:
    app = Flask("other")
    Condor(app)
    app.extensions["condor"].register("user.registered", mail)
    app.extensions["condor"].register("user.removed", mail)

    near, far = explain(app, "user.registerd"), explain(app, "x\x1b[2J")

    assert (near.exit_code, near.stdout) == (far.exit_code, far.stdout) == (2, "")
    assert near.stderr.startswith("Error: event user.registerd is not registered. Near it: user.registered")
    assert far.stderr == "Error: event x\\x1b[2J is not registered. `flask events list` shows those that are.\n"
