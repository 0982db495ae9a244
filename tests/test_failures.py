"""Failing jobs: the others run, every error is told, and the policy decides whether `fire` raises."""

from __future__ import annotations

import logging
import pickle
from typing import Any

import pytest
from flask import Flask
from flask_condor import Condor
from flask_condor import CondorError
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor import JobsFailed
from flask_condor import ctx

from tests.conftest import MakeJob

WAYS = ["from a handler", "outside a request"]


@pytest.fixture(params=["raise", "log"])
def policy(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def logging_app() -> Flask:
    app = Flask("logging")
    app.config["CONDOR_JOB_ERRORS"] = "log"
    Condor(app)
    return app


def fire(app: Flask, way: str, name: str = "signed-up") -> None:
    with app.test_request_context() if way == "from a handler" else app.app_context():
        ctx.events.emit("warm-up")
        ctx.events.fire(Event(name))
        ctx.events.fire(Event(name))


def fails_with(error: BaseException) -> Any:
    def job(event: Event[Any], ctx: Context) -> None:
        raise error

    return job


@pytest.mark.parametrize("way", WAYS)
def test_the_other_jobs_run_before_the_failures_are_raised_together(
    app: Flask, events_manager: EventsManager, make_job: MakeJob, ran: list[str], failing_job: Any, way: str
) -> None:
    missing = fails_with(KeyError("address"))
    events_manager.register("signed-up", make_job("first"), failing_job, make_job("third"), missing, make_job("fifth"))

    with pytest.raises(JobsFailed) as failed:
        fire(app, way)

    assert ran == ["first", "third", "fifth"]
    assert [type(error) for error in failed.value.exceptions] == [ValueError, KeyError]
    assert str(failed.value).startswith(
        "2 of 5 jobs of event 'signed-up' failed: failing (ValueError: no such address), job (KeyError: 'address');"
        " done: first, third, fifth"
    )


def test_a_job_that_is_put_off_is_not_told_as_done(
    app: Flask, events_manager: EventsManager, make_job: MakeJob, failing_job: Any
) -> None:
    events_manager.register("signed-up", failing_job, make_job("second"))
    events_manager.register("signed-up", make_job("later"), run="after_response")

    with app.test_request_context(), pytest.raises(JobsFailed) as failed:
        events_manager.fire(Event("signed-up"))

    assert str(failed.value).startswith("1 of 2 jobs of event 'signed-up' failed: failing ")
    assert "; done: second (" in str(failed.value)


def test_jobs_of_one_name_are_counted_one_by_one(events_manager: EventsManager) -> None:
    events_manager.register("signed-up", fails_with(ValueError("no")), lambda event, ctx: None, lambda event, ctx: None)
    events_manager.register("signed-up", fails_with(ValueError("no")))

    with pytest.raises(JobsFailed, match="2 of 4 jobs .*; done: <lambda>, <lambda>"):
        events_manager.fire(Event("signed-up"))


def test_each_failure_carries_the_name_of_its_job(events_manager: EventsManager, failing_job: Any) -> None:
    events_manager.register("signed-up", failing_job)

    with pytest.raises(JobsFailed) as failed:
        events_manager.fire(Event("signed-up"))

    error = failed.value.exceptions[0]
    assert error.__notes__ == ["in job failing of event 'signed-up'"]
    assert failed.value.failures == (("failing", error),)


def test_the_failures_can_be_told_apart_with_except_star(events_manager: EventsManager, failing_job: Any) -> None:
    events_manager.register("signed-up", failing_job, fails_with(KeyError("address")))
    caught: list[Exception] = []

    try:
        events_manager.fire(Event("signed-up"))
    except* ValueError as group:
        caught += group.exceptions
    except* KeyError as group:
        caught += group.exceptions

    assert [type(error) for error in caught] == [ValueError, KeyError]


@pytest.mark.parametrize("way", WAYS)
def test_jobs_failed_is_a_condor_error_that_holds_no_unrelated_context(
    app: Flask, events_manager: EventsManager, failing_job: Any, way: str
) -> None:
    events_manager.register("signed-up", failing_job, fails_with(KeyError("address")))

    with pytest.raises(CondorError) as failed:
        fire(app, way)

    assert isinstance(failed.value, JobsFailed)
    assert failed.value.__context__ is None
    assert [error.__context__ for error in failed.value.exceptions] == [None, None]


@pytest.mark.parametrize("way", WAYS)
def test_the_log_policy_runs_all_logs_each_and_raises_nothing(
    logging_app: Flask,
    make_job: MakeJob,
    ran: list[str],
    failing_job: Any,
    way: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    logging_app.extensions["condor"].register("signed-up", failing_job, make_job("second"))

    fire(logging_app, way)

    assert ran == ["second", "second"]
    assert [record.getMessage() for record in caplog.records] == [
        "job failing of event signed-up failed: ValueError: no such address; it is not run again"
    ] * 2
    assert caplog.records[0].exc_info is not None


def test_both_policies_write_a_line_with_stable_extras_for_each_failure(
    app: Flask, logging_app: Flask, failing_job: Any, policy: str, caplog: pytest.LogCaptureFixture
) -> None:
    manager = (app if policy == "raise" else logging_app).extensions["condor"]
    manager.register("signed-up", failing_job)
    event = Event("signed-up")

    try:
        manager.fire(event)
    except JobsFailed:
        assert policy == "raise"

    (record,) = caplog.records
    extras = {key: vars(record)[key] for key in ("action", "event_id", "event_name", "job")}
    assert record.levelno == logging.ERROR
    assert extras == {
        "action": "job_failed",
        "event_id": event.id,
        "event_name": "signed-up",
        "job": "tests.conftest:failing_job.<locals>.failing",
    }


@pytest.mark.parametrize("stop", [SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("way", WAYS)
def test_exit_and_interrupt_are_never_swallowed(
    app: Flask, logging_app: Flask, policy: str, stop: type[BaseException], way: str, failing_job: Any
) -> None:
    chosen = app if policy == "raise" else logging_app
    chosen.extensions["condor"].register("signed-up", fails_with(stop()))

    with pytest.raises(stop):
        fire(chosen, way)


def test_a_failure_before_an_exit_is_in_the_log(
    events_manager: EventsManager, failing_job: Any, caplog: pytest.LogCaptureFixture
) -> None:
    events_manager.register("signed-up", failing_job, fails_with(SystemExit()))

    with pytest.raises(SystemExit):
        events_manager.fire(Event("signed-up"))

    assert "job failing of event signed-up failed" in caplog.text


def test_the_next_fire_after_a_failure_or_an_exit_starts_afresh(
    app: Flask, events_manager: EventsManager, failing_job: Any
) -> None:
    depths: list[int] = []
    events_manager.register("bad", fails_with(SystemExit()))
    events_manager.register("worse", failing_job)
    events_manager.register("good", lambda event, ctx: depths.append(event.depth))

    with app.test_request_context():
        for name in ("bad", "worse"):
            ctx.events.emit("good")
            with pytest.raises((SystemExit, JobsFailed)):
                ctx.events.fire(Event(name))
            ctx.events.fire(Event("good"))

    assert depths == [1, 1, 1, 1]


def test_an_error_whose_text_cannot_be_read_or_is_enormous_is_still_told(events_manager: EventsManager) -> None:
    class Unreadable(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    events_manager.register("signed-up", fails_with(Unreadable()), fails_with(ValueError("x\n" * 100_000)))

    with pytest.raises(JobsFailed, match=r"Unreadable: its text could not be read\), job \(ValueError: x x") as failed:
        events_manager.fire(Event("signed-up"))

    assert len(str(failed.value)) < 1_000


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("CONDOR_JOB_ERRORS", "ignore", "'raise' or 'log'"),
        ("CONDOR_JOB_ERRORS", None, "'raise' or 'log'"),
        ("CONDOR_MAX_DEPTH", 0, "a whole number from 1 to 100"),
        ("CONDOR_MAX_DEPTH", 101, "a whole number from 1 to 100"),
        ("CONDOR_MAX_DEPTH", "32", "a whole number from 1"),
        ("CONDOR_MAX_DEPTH", True, "a whole number from 1"),
    ],
)
def test_a_setting_that_means_nothing_is_refused_naming_key_value_and_what_is_expected(
    key: str, value: Any, expected: str
) -> None:
    app = Flask("misconfigured")
    app.config[key] = value

    with pytest.raises(CondorError, match=f"{key} is {value!r}: expected {expected}"):
        Condor(app)


def test_a_second_condor_on_one_app_is_refused(app: Flask) -> None:
    with pytest.raises(CondorError, match="app 'test' already has a Condor"):
        Condor().init_app(app)


def test_one_condor_may_serve_several_apps() -> None:
    registered: list[str] = []
    condor = Condor(register_events=lambda: registered.append(ctx.app.name))

    condor.init_app(Flask("one"))
    condor.init_app(Flask("two"))

    assert registered == ["one", "two"]


def test_jobs_failed_survives_pickling(events_manager: EventsManager, failing_job: Any) -> None:
    events_manager.register("signed-up", failing_job, lambda event, ctx: None)

    with pytest.raises(JobsFailed) as failed:
        events_manager.fire(Event("signed-up"))

    assert str(pickle.loads(pickle.dumps(failed.value))) == str(failed.value)
