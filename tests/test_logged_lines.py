"""What a queued job logs is kept with its attempt: bounded, in the transaction of the outcome, and seen by nobody."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import suppress
from contextvars import copy_context
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from flask import Flask
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor import JobsFailed
from flask_condor.attempt import Attempts
from flask_condor.claims import Wish
from flask_condor.claims import claim
from flask_condor.deliveries import Outcome
from flask_condor.forgetting import forget
from flask_condor.lanes import find_lanes
from flask_condor.logged_lines import LARGEST
from flask_condor.logged_lines import LONGEST
from flask_condor.logged_lines import gathered
from flask_condor.logged_lines import watch_records
from flask_condor.models import deliveries
from flask_condor.models import run_lines
from flask_condor.prune import Prune
from flask_condor.prune import Retention
from flask_condor.retry import Retry
from flask_condor.storable import Failure
from flask_condor.testing.worker import run_queue
from flask_condor.timeline import Step
from flask_condor.timeline import attempts_of
from sqlalchemy import event as sql_event
from sqlalchemy import func
from sqlalchemy import select

from tests.commands import printed
from tests.commands import printed_json

logger = logging.getLogger("shop")
apart = logging.getLogger("apart")


@pytest.fixture
def file_manager(tmp_path: Path) -> EventsManager:
    app = Flask("one file")
    app.config["CONDOR_DATABASE_URL"] = f"sqlite:///{tmp_path / 'condor.db'}"
    Condor(app)
    manager: EventsManager = app.extensions["condor"]
    return manager


@pytest.fixture(autouse=True)
def levels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logger, "level", logging.INFO)
    monkeypatch.setattr(apart, "level", logging.INFO)
    monkeypatch.setattr(apart, "propagate", False)
    for one in (logger, apart):
        one.manager._clear_cache()  # type: ignore[attr-defined]  # what setLevel does, which would not be undone


def ran(manager: EventsManager, *jobs: Callable[[Event[Any], Context], Any]) -> list[Step]:
    """Run *jobs* in a worker, each tried twice when it fails; return the attempts."""
    manager.register("order.paid", *jobs, run="queued", retry=Retry(max_attempts=2, wait=0, jitter=False))
    manager.fire(Event("order.paid", 7))
    run_queue(manager, check=False)
    with manager.log.read() as connection:
        ids = connection.scalars(select(deliveries.c.id).order_by(deliveries.c.id)).all()
        return [step for steps in attempts_of(connection, ids).values() for step in steps]


def count_lines(manager: EventsManager) -> int:
    with manager.log.read() as connection:
        return connection.scalar(select(func.count()).select_from(run_lines)) or 0


def texts(step: Step) -> list[str]:
    """Return the lines of an attempt without their times."""
    return [line.split(" ", 2)[2] for line in (step.lines or "").splitlines()]


def test_what_a_job_logs_at_info_and_above_is_kept_with_its_run(durable_manager: EventsManager) -> None:
    def bill(event: Event[Any], ctx: Context) -> None:
        logger.debug("not this")
        logger.info("order %d is billed", event.payload)
        ctx.logger.warning("slowly")
        apart.info("by a logger that does not propagate")

    [step] = ran(durable_manager, bill)

    app = durable_manager.app.logger.name
    assert step.outcome == "done" and step.lines is not None
    assert texts(step) == [
        "INFO shop: order 7 is billed",
        f"WARNING {app}: slowly",
        "INFO apart: by a logger that does not propagate",
    ]
    assert step.lines[:2] == "20" and step.lines[23] == " "


def test_each_attempt_has_the_lines_of_its_own(durable_manager: EventsManager) -> None:
    def fails(event: Event[Any], ctx: Context) -> None:
        assert ctx.delivery is not None
        logger.info("attempt %d", ctx.delivery.attempt)
        raise ValueError

    assert [(step.outcome, texts(step)) for step in ran(durable_manager, fails)] == [
        ("failed", ["INFO shop: attempt 1"]),
        ("dead", ["INFO shop: attempt 2"]),
    ]


def test_jobs_side_by_side_do_not_mix_their_lines(durable_manager: EventsManager) -> None:
    def one(event: Event[Any], ctx: Context) -> None:
        logger.info("one")

    def silent(event: Event[Any], ctx: Context) -> None: ...

    def other(event: Event[Any], ctx: Context) -> None:
        logger.info("other")

    logger.info("before")
    assert [texts(step) for step in ran(durable_manager, one, silent, other)] == [
        ["INFO shop: one"],
        [],
        ["INFO shop: other"],
    ]
    assert count_lines(durable_manager) == 2


def recorded(manager: EventsManager, event: Event[Any]) -> dict[str, list[str]]:
    """Fire *event*; return what is kept of each run, by the name of its job."""
    with suppress(JobsFailed):
        manager.fire(event)
    assert manager.queueing.recorder.flush(60)
    with manager.log.read() as connection:
        jobs = {row.id: row.job.rpartition(".")[2] for row in connection.execute(select(deliveries))}
        return {jobs[id]: texts(steps[0]) for id, steps in attempts_of(connection, jobs).items()}


def test_what_a_job_logs_in_the_apps_own_process_is_kept_with_its_recorded_run(durable_manager: EventsManager) -> None:
    def first(event: Event[Any], ctx: Context) -> None:
        logger.info("first")
        ctx.events.fire(Event("order.shipped"))
        logger.info("first again")

    def silent(event: Event[Any], ctx: Context) -> None: ...

    def fails(event: Event[Any], ctx: Context) -> str:
        logger.warning("it will fail")
        raise ValueError

    def nested(event: Event[Any], ctx: Context) -> None:
        logger.info("nested")

    durable_manager.register("order.paid", first, silent, fails)
    durable_manager.register("order.shipped", nested)
    durable_manager.queueing.turn_on()
    logger.info("before")

    assert recorded(durable_manager, Event("order.paid")) == {
        "nested": ["INFO shop: nested"],
        "first": ["INFO shop: first", "INFO shop: first again"],
        "silent": [],
        "fails": ["WARNING shop: it will fail"],
    }
    assert count_lines(durable_manager) == 3


def test_an_awaited_job_has_the_lines_of_its_own(file_manager: EventsManager) -> None:
    async def waits(event: Event[Any], ctx: Context) -> None:
        logger.info("before")
        await asyncio.sleep(0)
        logger.info("after")

    file_manager.register("order.paid", waits)
    file_manager.queueing.turn_on()

    asyncio.run(file_manager.fire_async(Event("order.paid")))

    assert file_manager.queueing.recorder.flush(60)
    with file_manager.log.read() as connection:
        ((step,),) = attempts_of(connection, [1]).values()
    assert texts(step) == ["INFO shop: before", "INFO shop: after"]


def test_async_code_nested_jobs_and_copied_contexts_are_of_the_run(file_manager: EventsManager) -> None:
    def nested(event: Event[Any], ctx: Context) -> None:
        logger.info("nested")

    async def waits() -> None:
        logger.info("async")

    def job(event: Event[Any], ctx: Context) -> None:
        asyncio.run(waits())
        ctx.events.fire(Event("order.shipped"))
        thread = Thread(target=copy_context().run, args=(logger.info, "thread"))
        thread.start()
        thread.join()

    file_manager.register("order.shipped", nested)

    step, *_ = ran(file_manager, job)
    assert file_manager.queueing.recorder.flush(60)

    assert texts(step) == ["INFO shop: async", "INFO shop: nested", "INFO shop: thread"]


def test_an_attempt_that_is_given_up_while_it_runs_has_the_lines_so_far(file_manager: EventsManager) -> None:
    given_up: list[Outcome] = []

    def hangs(event: Event[Any], ctx: Context) -> None:
        logger.info("so far")
        given_up.append(attempts.overrun(caught.claims[0], 1.0, Failure("JobTimeout", "", "too long")))

    file_manager.register("order.paid", hangs, run="queued")
    file_manager.fire(Event("order.paid"))
    attempts = Attempts(file_manager, replaceable=False)
    with file_manager.log.begin() as connection:
        wish = Wish(worker="w1", count=1, lanes=find_lanes(connection), pairs=attempts.pairs, is_idle=True)
        caught = claim(connection, wish)
    attempts.run(caught.claims[0])

    assert (given_up[0].kind, (given_up[0].lines or "")[24:]) == ("failed", "INFO shop: so far")
    assert attempts.overrun(caught.claims[0], 1.0, Failure("JobTimeout", "", "too long")).lines is None


def test_an_error_is_told_without_its_traceback_and_a_line_break_begins_no_line(
    file_manager: EventsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logger, "propagate", False)  # no report of pytest-xdist can hold the half character below

    def job(event: Event[Any], ctx: Context) -> None:
        try:
            raise ValueError("no such\naddress")
        except ValueError:
            logger.exception("it failed\n2026-01-01 INFO shop: forged \0 \udc80")

    [step] = ran(file_manager, job)

    assert step.lines is not None
    first, second = step.lines.splitlines()
    assert first.endswith("ERROR shop: it failed")
    assert second == "  2026-01-01 INFO shop: forged \\0 \\udc80 (ValueError: no such address)"


def test_a_line_whose_arguments_do_not_fit_is_kept_as_it_stands(
    file_manager: EventsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)

    def job(event: Event[Any], ctx: Context) -> None:
        logger.info("%d and %d", 1)

    assert texts(ran(file_manager, job)[0]) == ["INFO shop: '%d and %d'"]


def test_the_last_50_lines_are_kept_and_how_many_were_left_out() -> None:
    watch_records()
    with gathered() as lines:
        for number in range(60):
            logger.info("%d", number)

    told = (lines.text or "").splitlines()

    assert told[0] == "… 10 earlier lines are left out"
    assert [line.rpartition(" ")[2] for line in told[1:]] == [str(number) for number in range(10, 60)]


def test_the_lines_of_a_run_are_4096_characters_at_most_each_1000() -> None:
    watch_records()
    with gathered() as lines:
        for _ in range(20):
            logger.info("x" * 5000)

    told = (lines.text or "").splitlines()

    assert told[0] == "… 16 earlier lines are left out" and {len(line) for line in told[1:]} == {LONGEST}
    assert sum(len(line) + 1 for line in told[1:]) <= LARGEST


def test_nothing_of_logging_is_changed(file_manager: EventsManager, caplog: pytest.LogCaptureFixture) -> None:
    def state() -> list[object]:
        named = [logging.getLogger(), logger, logging.getLogger("flask_condor"), file_manager.app.logger]
        return [(one.level, one.propagate, list(one.handlers), list(one.filters)) for one in named]

    def job(event: Event[Any], ctx: Context) -> None:
        logger.info("seen")

    before = state()
    ran(file_manager, job)

    assert state() == before and "seen" in caplog.messages
    assert logging.makeLogRecord({"msg": "from elsewhere"}).msg == "from elsewhere"


@pytest.fixture
def factory() -> Iterator[None]:
    watch_records()
    before = logging.getLogRecordFactory()
    watch_records.cache_clear()
    yield
    logging.setLogRecordFactory(before)


@pytest.mark.usefixtures("factory")
def test_records_of_the_apps_own_making_stay_so() -> None:
    class Numbered(logging.LogRecord):
        number = 7

    logging.setLogRecordFactory(Numbered)
    watch_records()
    watch_records()

    with gathered() as lines:
        record = logger.makeRecord("shop", logging.INFO, "", 0, "once", (), None)

    assert isinstance(record, Numbered) and (lines.text or "").count("once") == 1


def test_nothing_is_asked_of_the_database_where_nothing_is_logged(file_manager: EventsManager) -> None:
    asked: list[str] = []
    sql_event.listen(file_manager.log.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))

    def silent(event: Event[Any], ctx: Context) -> None: ...

    file_manager.register("order.paid", silent, run="queued")
    file_manager.register("order.shipped", silent)
    file_manager.fire(Event("order.paid"))
    file_manager.fire(Event("order.shipped"))
    assert file_manager.queueing.recorder.flush(60)
    run_queue(file_manager, check=True)

    told = [one for one in asked if not one.startswith(("CREATE", "PRAGMA", "\nCREATE"))]
    assert any("condor_rates" in one for one in told) and not [one for one in told if "condor_run_lines" in one]


@pytest.mark.parametrize("by_hand", [False, True])
def test_the_lines_go_when_the_run_goes(durable_manager: EventsManager, by_hand: bool) -> None:
    def job(event: Event[Any], ctx: Context) -> None:
        logger.info("here")

    ran(durable_manager, job)
    before = count_lines(durable_manager)

    with durable_manager.log.begin() as connection:
        if by_hand:
            forget(connection, 1, "ada")
        else:
            Prune(Retention(done_before=1e12, dead_before=1e12)).batch(connection)

    assert (before, count_lines(durable_manager)) == (1, 0)


def test_the_command_shows_them_without_secrets(file_manager: EventsManager) -> None:
    def job(event: Event[Any], ctx: Context) -> None:
        logger.info("signed in with password=hunter2 \x1b[2J")

    ran(file_manager, job)

    said, (told,) = printed(file_manager, "show", 1), printed_json(file_manager, "show", 1)

    (logged,) = told["deliveries"][0]["log"]
    assert "Log of 1, attempt 1:\n  20" in said and "password=[redacted] \\x1b[2J" in said
    assert "hunter2" not in said + json.dumps(told) and "\x1b" not in said
    assert logged["attempt"] == 1 and logged["lines"][0].endswith("password=[redacted] \x1b[2J")
