"""The pytest plugin, as it is installed: what its fixtures need, tell and leave, each in a pytest of its own."""

from __future__ import annotations

import subprocess
import sys

import flask_condor.testing.drain  # noqa: F401  # SQLAlchemy: pytester forgets the modules that a run in it imports
import pytest

from tests.conftest import SLOW_PLUGINS

pytest_plugins = ["pytester"]

CONFTEST = """
import pytest
from flask import Flask
from flask_condor import Condor
from flask_condor import Event
from flask_condor import ctx
from flask_condor import resolve_events_manager

ran = []

def job(event, ctx):
    ran.append(event.payload)

def register_events():
    events_manager = resolve_events_manager()
    events_manager.register("user.registered", job)
    events_manager.register("user.verified", job, run="queued")

def create_app(config):
    app = Flask("tested")
    app.config.from_mapping(config)
    Condor(app, register_events=register_events)

    @app.post("/<name>/<int:id>")
    def fire(name, id):
        ctx.events.fire(Event(name, {"id": id}))
        return "fired"

    return app

@pytest.fixture
def app():
    return create_app({"TESTING": True})

@pytest.fixture
def client(app):
    return app.test_client()
"""

WORKS = """
import pytest
from conftest import ran

@pytest.mark.parametrize("id", range(4))
def test_it(client, fake_events, id):
    client.post(f"/user.registered/{id}")
    client.post(f"/user.verified/{id}")

    fake_events.assert_fired("user.registered", payload={"id": id}, times=1)
    assert ran == []
    assert [run.event.payload for run in fake_events.run_queue()] == [{"id": id}]
    assert ran.pop() == {"id": id}

@pytest.mark.parametrize("id", range(4))
def test_real(client, events_worker, id):
    client.post(f"/user.registered/{id}")
    client.post(f"/user.verified/{id}")

    assert ran == [{"id": id}]
    assert [run.outcome for run in events_worker.run()] == ["done"]
    assert ran == [{"id": id}] * 2
    ran.clear()

def test_both(client, fake_events, events_worker):
    client.post("/user.verified/1")
    events_worker.travel(hours=1)

    assert [run.outcome for run in events_worker.run()] == ["done"]
    fake_events.assert_fired("user.verified")
    ran.clear()
"""


@pytest.fixture(autouse=True)
def quick_start(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", SLOW_PLUGINS)


def test_the_fixtures_work_with_the_app_of_a_factory_in_parallel(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(WORKS)

    result = pytester.runpytest("-n", "2", "-W", "error", "-p", "no:randomly")

    result.assert_outcomes(passed=9)
    assert not (pytester.path / "instance").exists()


def test_each_test_has_a_queue_and_a_clock_of_its_own_though_they_share_the_app(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST.replace("@pytest.fixture\ndef app", '@pytest.fixture(scope="session")\ndef app'))
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("fixture", ["fake_events", "events_worker"] * 2)
        def test_it(client, request, fixture):
            worker = request.getfixturevalue(fixture)
            run = worker.run_queue if fixture == "fake_events" else worker.run
            assert run() == []
            client.post("/user.verified/1")
            worker.travel(hours=24)
            client.application.extensions["condor"].emit("user.verified", 2, delay=60)
            assert len(run()) == 1

        def test_afterwards(app):
            from flask_condor import travel
            assert travel.ahead == 0.0
            assert type(app.extensions["condor"].queueing).__name__ == "Queueing"
        """
    )

    pytester.runpytest("-p", "no:randomly").assert_outcomes(passed=5)


def test_a_failure_lists_what_was_fired_and_points_at_the_line_of_the_test(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(
        """
        def test_it(client, fake_events):
            client.post("/user.registered/7")
            fake_events.assert_fired("user.verified")
        """
    )

    result = pytester.runpytest()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            '>       fake_events.assert_fired("user.verified")',
            "E       AssertionError: event user.verified was not fired. Fired were:",
            "E         1. user.registered {'id': 7}",
            "test_*.py:3: AssertionError",
        ]
    )
    result.stdout.no_fnmatch_line("*__tracebackhide__*")


def test_an_unknown_name_is_refused_with_the_nearest(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(
        """
        def test_it(fake_events):
            fake_events.assert_not_fired("user.registred")
        """
    )

    result = pytester.runpytest()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*EventNotRegistered: *Did you mean 'user.registered'?*"])


APPS = {
    "test_none": "",
    "test_nothing": "def app(): ...",
    "test_bare": "def app(): return Flask('bare')",
    "test_broken": "def app(settings): ...",
}


def test_an_app_that_is_missing_or_none_is_told_without_a_traceback(pytester: pytest.Pytester) -> None:
    head = "import pytest\nfrom flask import Flask\n"
    fixtures = {name: f"@pytest.fixture\n{app}\n" if app else "" for name, app in APPS.items()}
    tests = "def test_fake(fake_events): ...\ndef test_worker(events_worker): ..."
    pytester.makepyfile(**{name: f"{head}{fixture}{tests}" for name, fixture in fixtures.items()})

    result = pytester.runpytest("-p", "no:randomly")

    result.assert_outcomes(errors=8)
    for fixture in ("fake_events", "events_worker"):
        result.stdout.fnmatch_lines([f"{fixture} needs a fixture named app that returns your Flask app, such as"])
    for told in (
        "the fixture app gave None, which is no Flask app with Condor: call Condor(app)*",
        "the fixture app gave <Flask 'bare'>, which is no Flask app with Condor*",
        "*fixture 'settings' not found",
    ):
        assert len(result.stdout.get_lines_after(told)) > 0
    result.stdout.no_fnmatch_line("*FixtureLookupError*")


def test_a_queued_job_that_fails_is_told_with_its_traceback(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST.replace("ran.append(event.payload)", "raise ValueError('no such address')"))
    pytester.makepyfile(
        """
        def test_it(client, events_worker):
            client.post("/user.verified/7")
            events_worker.run()
        """
    )

    result = pytester.runpytest()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E*1 of 1 runs of queued jobs failed*",
            "E*job conftest:job of event user.verified, attempt 1, tried again in * s: travel(seconds=*)",
            "E*ValueError: no such address",
        ]
    )


def test_the_plugin_is_installed_and_imports_nothing_beyond_the_package_itself() -> None:
    code = """
import sys, pytest, flask_condor
before = set(sys.modules)
import flask_condor.pytest_plugin
assert set(sys.modules) - before == {"flask_condor.pytest_plugin"}
assert not {"sqlalchemy", "sqlite3", "gunicorn", "asgiref", "flask_condor.testing"} & set(sys.modules)
from importlib.metadata import entry_points
[plugin] = entry_points(group="pytest11", name="condor")
assert plugin.load() is flask_condor.pytest_plugin
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_faking_an_app_that_queues_nothing_imports_no_sqlalchemy() -> None:
    code = """
import sys
from flask import Flask
from flask_condor import Condor, Event
from flask_condor.testing import FakeEvents
app = Flask("simple")
Condor(app)
manager = app.extensions["condor"]
manager.register("x", lambda event, ctx: None)
manager.register("x", lambda event, ctx: None, run="after_response")
with FakeEvents(app) as events:
    manager.fire(Event("x"))
    events.run_now()
    events.run_after_response()
    events.travel(hours=1)
    assert events.run_queue() == []
assert not {"sqlalchemy", "zoneinfo"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
