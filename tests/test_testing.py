"""`flask_condor.testing`: what a fake records, holds and runs on command, and what the worker of a test does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC
from datetime import datetime
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask import g
from flask import request
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventName
from flask_condor import EventNotRegistered
from flask_condor import EventsManager
from flask_condor import JobsFailed
from flask_condor import ctx
from flask_condor import travel
from flask_condor.errors import CondorError
from flask_condor.errors import DelayInvalid
from flask_condor.errors import PayloadNotSerializable
from flask_condor.faults import PayloadInvalid
from flask_condor.retry import Retry
from flask_condor.testing import EventsWorker
from flask_condor.testing import FakeEvents
from flask_condor.testing import QueuedJobsFailed
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import create_engine
from sqlalchemy import text
from sqlalchemy.orm import Session
from sqlalchemy.orm import scoped_session
from sqlalchemy.orm import sessionmaker

from tests.conftest import MakeJob
from tests.databases import accepted

seen: list[Any] = []


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    seen.clear()


@pytest.fixture
def events(app: Flask) -> Iterator[FakeEvents]:
    with FakeEvents(app) as events:
        yield events


@pytest.fixture
def worker(app: Flask) -> Iterator[EventsWorker]:
    with EventsWorker(app) as worker:
        yield worker


def note(event: Event[Any], ctx: Context) -> Any:
    seen.append((event.name, event.payload))
    return event.payload


def fail(event: Event[Any], ctx: Context) -> None:
    seen.append(ctx.delivery.attempt if ctx.delivery else 0)
    raise ValueError(f"no such address: {event.payload}")


async def await_something(event: Event[Any], ctx: Context) -> None:
    await asyncio.sleep(0)
    seen.append(event.name)


# --- what is recorded


def test_every_event_is_recorded_and_none_of_its_jobs_runs(
    app: Flask, events_manager: EventsManager, make_job: MakeJob, ran: list[Any]
) -> None:
    for word in ("now", "after_response", "after_commit"):
        events_manager.register("x", make_job(word), run=word)
    events_manager.register("x", note, run="queued")

    with FakeEvents(app) as events:
        events_manager.fire(Event("x", 1))
        with app.app_context():
            ctx.events.emit("x", 2)
            ctx.events.emit("nobody listens", 3)
        events_manager.fire(Event("x", 4), delay=60)

    assert [(event.name, event.payload) for event in events.fired] == [
        ("x", 1),
        ("x", 2),
        ("nobody listens", 3),
        ("x", 4),
    ]
    assert ran == seen == []
    assert not Path(app.instance_path, "condor.db").exists()


def test_what_async_views_fire_is_recorded_and_held_too(
    app: Flask, events_manager: EventsManager, events: FakeEvents
) -> None:
    events_manager.register("x", await_something)

    async def fire() -> None:
        with app.app_context():
            await ctx.events.fire_async(Event("x"))
            await ctx.events.emit_async("x")

    asyncio.run(fire())
    events.assert_fired("x", times=2)
    assert seen == []

    events.run_now()
    assert seen == ["x", "x"]


def test_held_async_jobs_run_on_command_while_an_event_loop_runs(
    app: Flask, events_manager: EventsManager, events: FakeEvents
) -> None:
    events_manager.register("x", await_something)

    async def test() -> None:
        await events_manager.fire_async(Event("x"))
        events.run_now()

    asyncio.run(test())

    assert seen == ["x"]


def test_in_a_request_that_fires_often_every_event_is_recorded(
    app: Flask, events_manager: EventsManager, make_job: MakeJob, ran: list[Any]
) -> None:
    events_manager.register("x", make_job("job"))

    @app.get("/")
    def view() -> str:
        for number in range(3):
            ctx.events.fire(Event("x", number))
        return "done"

    app.test_client().get("/")
    with FakeEvents(app) as events:
        app.test_client().get("/")
    app.test_client().get("/")

    assert [event.payload for event in events.fired] == [0, 1, 2]
    assert ran == ["job"] * 6


def test_the_payload_is_recorded_as_it_was_when_fired(events_manager: EventsManager, events: FakeEvents) -> None:
    events_manager.register("x")
    payload = {"id": 1}

    events_manager.fire(Event("x", payload))
    payload["id"] = 2

    events.assert_fired("x", payload={"id": 1})


def test_blinkers_own_send_is_neither_recorded_nor_held(
    app: Flask, events_manager: EventsManager, events: FakeEvents, make_job: MakeJob, ran: list[Any]
) -> None:
    events_manager.register("x", make_job("job"))

    with app.app_context():
        events_manager.signal("x").send(Event("x"), ctx=ctx)

    events.assert_nothing_fired()
    assert ran == ["job"]


def test_what_is_fired_while_events_are_disabled_is_not_recorded(
    events_manager: EventsManager, events: FakeEvents
) -> None:
    events_manager.register("x")

    with events_manager.disable():
        events_manager.fire(Event("x"))

    events.assert_nothing_fired()


# --- what is refused


def test_unknown_names_are_refused_as_ever(events_manager: EventsManager, events: FakeEvents) -> None:
    events_manager.register("user.registered", note)

    for refused in (
        lambda: events_manager.fire(Event("user.registred")),
        lambda: events.assert_fired("user.registred"),
        lambda: events.assert_not_fired("user.registred"),
        lambda: events.assert_listening("user.registred", note),
        lambda: events.only("user.registred"),
    ):
        with pytest.raises(EventNotRegistered, match=r"Did you mean 'user\.registered'"):
            refused()

    events.assert_nothing_fired()


def test_a_payload_that_a_queue_would_refuse_is_refused(events_manager: EventsManager, events: FakeEvents) -> None:
    events_manager.register("x", note, run="queued")

    with pytest.raises(PayloadNotSerializable, match=r"payload\['at'\]"):
        events_manager.fire(Event("x", {"at": datetime.now(UTC)}))
    with pytest.raises(DelayInvalid):
        events_manager.fire(Event("x"), delay={"weeks": 1})

    events.assert_nothing_fired()


def test_an_app_without_condor_is_told_so() -> None:
    with pytest.raises(CondorError, match=r"<Flask 'bare'> is no Flask app with Condor: call Condor\(app\)"):
        FakeEvents(Flask("bare"))
    with pytest.raises(CondorError, match="None is no Flask app"):
        EventsWorker(None)  # type: ignore[arg-type]  # as a fixture that forgot to return it


@dataclass
class User:
    id: int


def keep_user(event: Event[User], ctx: Context) -> None:
    seen.append(event.payload)


def test_a_typed_name_is_checked_as_ever(events_manager: EventsManager, events: FakeEvents) -> None:
    name = EventName("user.registered", User)
    events_manager.register(name, note)
    events_manager.register(name, keep_user, run="queued")

    events_manager.fire(Event(name, User(1)))
    with pytest.raises(PayloadInvalid):
        events_manager.emit("user.registered", {"id": "one"})

    events.assert_fired(name, payload=User(1), times=1)
    events.run_now(name)
    assert seen == [("user.registered", User(1))]
    [run] = events.run_queue()
    assert seen[1:] == [run.event.payload] == [User(1)]


# --- assertions


def test_assert_fired_finds_by_equality_and_by_a_function_and_counts(
    events_manager: EventsManager, events: FakeEvents
) -> None:
    events_manager.register("x")
    for number in (1, 2, 2):
        events_manager.fire(Event("x", {"id": number}))

    assert [event.payload["id"] for event in events.assert_fired("x")] == [1, 2, 2]
    events.assert_fired("x", payload={"id": 2}, times=2)
    events.assert_fired("x", payload=lambda payload: payload["id"] < 2, times=1)
    events.assert_not_fired("x", payload={"id": 3})


def test_a_failure_lists_what_was_fired_and_by_whom(events_manager: EventsManager, events: FakeEvents) -> None:
    def pass_on(event: Event[Any], ctx: Context) -> None:
        ctx.events.fire(Event("y", [2]))

    events_manager.register("x", pass_on)
    events_manager.register("y")
    events_manager.register("z")
    events_manager.fire(Event("x", {"id": 1}))
    events.run_now()
    fired = "Fired were:\n  1. x {'id': 1}\n  2. y [2]  (by job pass_on of x)"

    for assertion, told in (
        (lambda: events.assert_fired("z"), "event z was not fired"),
        (lambda: events.assert_fired("x", payload={"id": 2}), "event x was not fired with payload {'id': 2}"),
        (lambda: events.assert_fired("x", times=2), "event x was fired 1 times, not 2"),
        (
            lambda: events.assert_fired("x", payload=is_two),
            "event x was not fired with a payload for which is_two holds",
        ),
        (lambda: events.assert_not_fired("x"), "event x was fired"),
        (lambda: events.assert_nothing_fired(), "something was fired"),
    ):
        with pytest.raises(AssertionError) as raised:
            assertion()
        assert str(raised.value) == f"{told}. {fired}"


def is_two(payload: Any) -> bool:
    return bool(payload == 2)


def test_a_failure_says_that_nothing_was_fired_and_shortens_a_long_list(
    events_manager: EventsManager, events: FakeEvents
) -> None:
    events_manager.register("x")
    with pytest.raises(AssertionError, match="event x was not fired. Nothing was fired."):
        events.assert_fired("x")

    for _ in range(53):
        events_manager.fire(Event("x"))
    with pytest.raises(AssertionError, match="  50. x None\n  and 3 more$"):
        events.assert_nothing_fired()


def test_assert_listening_tells_the_jobs_that_are(events_manager: EventsManager, events: FakeEvents) -> None:
    events_manager.register("x", note, run="queued")

    events.assert_listening("x", note)
    with pytest.raises(AssertionError) as raised:
        events.assert_listening("x", fail)
    assert str(raised.value) == (
        "job fail is not registered for event x; its jobs are: tests.test_testing:note (queued)"
    )


# --- what is held, and run on command


def test_now_jobs_and_receivers_run_on_command_in_order_with_the_request_they_had(
    app: Flask, events_manager: EventsManager, events: FakeEvents
) -> None:
    def job(event: Event[Any], ctx: Context) -> None:
        seen.append((event.payload, ctx.request and ctx.request.path, request.args["q"]))

    def plain(event: Event[Any], ctx: Context) -> None:
        seen.append("plain")

    events_manager.register("x", job)
    events_manager.signal("x").connect(plain)

    @app.get("/search")
    def view() -> str:
        ctx.events.fire(Event("x", 1))
        return "done"

    app.test_client().get("/search?q=word")
    assert seen == []

    events.run_now()
    assert seen == [(1, "/search", "word"), "plain"]

    events.run_now()
    assert len(seen) == 2


def test_held_jobs_run_in_the_app_context_of_the_test_where_they_were_fired_outside_a_request(
    app: Flask, events_manager: EventsManager, events: FakeEvents
) -> None:
    events_manager.register("x", lambda event, ctx: seen.append(g.mark))

    with app.app_context():
        g.mark = "here"
        events_manager.fire(Event("x"))
        events.run_now()

    assert seen == ["here"]


def test_two_events_of_one_id_keep_their_payloads(events_manager: EventsManager, events: FakeEvents) -> None:
    for word in ("now", "after_response"):
        events_manager.register("x", note, run=word)
    for payload in (1, 2):
        events_manager.emit("x", payload, id="order-7")

    events.run_now()
    events.run_after_response()

    assert seen == [("x", 1), ("x", 2)] * 2


def test_one_name_is_run_and_the_others_stay_held(
    events_manager: EventsManager, events: FakeEvents, make_job: MakeJob, ran: list[Any]
) -> None:
    events_manager.register("x", make_job("x"))
    events_manager.register("y", make_job("y"))
    for name in "yxy":
        events_manager.fire(Event(name))

    events.run_now("x")
    assert ran == ["x"]

    events.run_now()
    assert ran == ["x", "y", "y"]


def test_what_a_job_fires_is_run_depth_first_if_it_was_asked_for_and_held_otherwise(
    events_manager: EventsManager, events: FakeEvents
) -> None:
    def first(event: Event[Any], ctx: Context) -> None:
        seen.append("first begins")
        ctx.events.fire(Event("y"))
        seen.append("first ends")

    events_manager.register("x", first)
    events_manager.register("y", note)

    events_manager.fire(Event("x"))
    events.run_now("x")
    assert seen == ["first begins", "first ends"]

    events_manager.fire(Event("x"))
    events.run_now()
    assert seen[2:] == [("y", None), "first begins", ("y", None), "first ends"]
    assert [event.name for event in events.fired] == ["x", "y", "x", "y"]


def test_a_held_job_that_fails_raises_after_the_others_of_its_event(
    events_manager: EventsManager, events: FakeEvents, make_job: MakeJob, ran: list[Any]
) -> None:
    for word in ("now", "after_response"):
        events_manager.register("x", fail, make_job("other"), run=word)
    events_manager.fire(Event("x", "ada"))
    events_manager.fire(Event("x", "bob"))

    for run in (events.run_now, events.run_after_response):
        with pytest.raises(JobsFailed, match="1 of 2 jobs of event 'x' failed: fail .*ada.*; done: other"):
            run()
        with pytest.raises(JobsFailed, match="bob"):
            run()
        run()
    assert ran == ["other"] * 4


def test_after_response_jobs_are_held_once_the_response_is_closed_and_dropped_when_it_is_5xx(
    app: Flask, events_manager: EventsManager, events: FakeEvents
) -> None:
    events_manager.register("x", note, run="after_response")

    @app.get("/<int:status>")
    def view(status: int) -> tuple[str, int]:
        ctx.events.fire(Event("x", status))
        return "done", status

    for status in (200, 500):
        app.test_client().get(f"/{status}")
    assert seen == []

    events.run_after_response()
    assert seen == [("x", 200)]
    events.assert_fired("x", times=2)


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[scoped_session[Session]]:
    engine = create_engine(f"sqlite:///{tmp_path / 'app.db'}")
    sessions = scoped_session(sessionmaker(engine))
    yield sessions
    sessions.remove()
    engine.dispose()


@pytest.fixture
def with_session(tmp_path: Path, sessions: scoped_session[Session]) -> EventsManager:
    """The events manager of an app whose log is in the database of its session."""
    app = Flask("test")
    app.config["CONDOR_DATABASE_URL"] = f"sqlite:///{tmp_path / 'app.db'}"
    Condor(app, session=sessions)
    manager: EventsManager = app.extensions["condor"]
    manager.register("x", note, run="after_commit")
    manager.register("x", note, run="queued")
    return manager


@pytest.mark.parametrize("given", [True, False], ids=["session given", "session of the app"])
def test_what_waits_for_a_commit_waits_and_is_dropped_with_a_rollback(
    with_session: EventsManager, sessions: scoped_session[Session], given: bool
) -> None:
    options: Any = {"session": sessions} if given else {}
    with closing(sessions), FakeEvents(with_session.app) as events:
        for payload, end in ((1, sessions.rollback), (2, sessions.commit)):
            sessions.execute(text("SELECT 1"))
            with_session.fire(Event("x", payload), **options)
            events.run_after_commit()
            assert events.run_queue() == []
            end()

        events.run_after_commit()
        assert seen == [("x", 2)]
        [run] = events.run_queue()
        assert run.event.payload == 2
        events.assert_fired("x", times=2)

    assert accepted(with_session) == []
    with_session.log.engine.dispose()


# --- only


def test_with_only_the_jobs_of_other_events_run_as_usual_and_are_recorded_all_the_same(
    events_manager: EventsManager, events: FakeEvents, make_job: MakeJob, ran: list[Any]
) -> None:
    events_manager.register("x", make_job("x"))
    events_manager.register("y", make_job("y"))
    events_manager.register("y", make_job("later"), run="after_response")
    events.only("x")

    events_manager.fire(Event("x"))
    events_manager.fire(Event("y"))

    assert ran == ["y", "later"]
    assert [event.name for event in events.fired] == ["x", "y"]


# --- the queue


def test_queued_jobs_run_on_command_with_what_comes_back_from_json(
    events_manager: EventsManager, events: FakeEvents
) -> None:
    events_manager.register("x", note, run="queued")
    payload = {"tags": ["a"], "price": 1.5}
    events_manager.fire(Event("x", payload))
    payload["price"] = 2.0

    [run] = events.run_queue()

    assert seen == [("x", {"tags": ["a"], "price": 1.5})]
    assert (run.job, run.attempt, run.outcome) == ("tests.test_testing:note", 1, "done")
    assert run.result == run.event.payload == {"tags": ["a"], "price": 1.5}
    assert events.run_queue() == []


def test_an_event_that_is_late_waits_for_the_clock(events_manager: EventsManager, events: FakeEvents) -> None:
    events_manager.register("x", note)
    events_manager.fire(Event("x", "delayed"), delay={"hours": 24})
    events_manager.fire(Event("x", "at"), at=datetime.now(UTC) + timedelta(hours=48))

    events.travel(hours=23)
    assert events.run_queue() == []
    events.travel(hours=1)
    assert [run.event.payload for run in events.run_queue()] == ["delayed"]
    events_manager.fire(Event("x", "delayed again"), delay={"hours": 36})
    events.travel(hours=25)
    assert [run.event.payload for run in events.run_queue()] == ["at"]
    events.travel(days=1)
    assert [run.event.payload for run in events.run_queue()] == ["delayed again"]


def test_a_queued_job_that_fails_is_tried_again_as_registered_and_then_dead(
    events_manager: EventsManager, events: FakeEvents
) -> None:
    events_manager.register("x", fail, run="queued", retry=Retry(max_attempts=2, wait=60, jitter=False))
    events_manager.fire(Event("x", "ada"))

    with pytest.raises(QueuedJobsFailed) as raised:
        events.run_queue()
    told = str(raised.value)
    assert "job tests.test_testing:fail of event x, attempt 1, tried again in 60 s: travel(seconds=60)" in told
    assert "ValueError: no such address: ada\n" in told and "Traceback" in told
    assert events.run_queue() == []

    events.travel(seconds=60)
    [run] = events.run_queue(check=False)
    assert (run.attempt, run.outcome) == (2, "dead")
    assert seen == [1, 2]


def test_what_a_queued_job_fires_is_recorded_and_held_and_what_it_queues_runs_on(
    events_manager: EventsManager, events: FakeEvents, make_job: MakeJob, ran: list[Any]
) -> None:
    def pass_on(event: Event[Any], ctx: Context) -> None:
        ctx.events.fire(Event("y", 2))

    events_manager.register("x", pass_on, run="queued")
    events_manager.register("y", make_job("now"))
    events_manager.register("y", note, run="queued")
    events_manager.fire(Event("x", 1))

    assert [run.event.name for run in events.run_queue()] == ["x", "y"]
    assert ran == []
    [fired] = events.assert_fired("y", payload=2)
    assert fired.cause and fired.cause.event_name == "x"


# --- the clock


def test_schedules_fire_on_the_way_and_their_jobs_are_queued(events_manager: EventsManager, events: FakeEvents) -> None:
    events_manager.register("report.due", note)
    events_manager.schedule("report.due", "0 9 * * *", {"kind": "daily"})
    morning = datetime.now(UTC).replace(hour=9, minute=0, second=0, microsecond=0) + timedelta(days=1)

    events.travel_to(morning - timedelta(seconds=1))
    events.run_queue()
    seen.clear()
    events.travel_to(morning)
    assert [run.event.fired_at for run in events.run_queue()] == [morning]
    events.travel(days=2)
    events.run_queue()

    assert seen == [("report.due", {"kind": "daily"})] * 3
    events.assert_fired("report.due", payload={"kind": "daily"})


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda events: events.travel(weeks=1), "unknown unit 'weeks'"),
        (lambda events: events.travel(hours=-1), "-1"),
        (lambda events: events.travel(), "names no unit"),
        (lambda events: events.travel_to(datetime(2020, 1, 1, tzinfo=UTC)), "leads back"),
        (lambda events: events.travel_to(datetime(2100, 1, 1)), "no time zone"),
    ],
)
def test_a_travel_that_leads_nowhere_is_refused(
    events: FakeEvents, wrong: Callable[[FakeEvents], None], told: str
) -> None:
    with pytest.raises(DelayInvalid, match=told):
        wrong(events)
    assert travel.ahead == 0.0


def test_a_schedule_that_would_fire_without_an_end_on_the_way_is_refused(
    events_manager: EventsManager, events: FakeEvents
) -> None:
    events_manager.register("x", note)
    events_manager.schedule("x", "* * * * *")

    with pytest.raises(DelayInvalid, match=r"'\* \* \* \* \*' fires more than 1,000 times on the way"):
        events.travel(days=1)


def test_a_schedule_fires_by_the_clock_of_the_test_alone(events_manager: EventsManager, worker: EventsWorker) -> None:
    events_manager.register("x", note, run="queued")
    events_manager.schedule("x", "* * * * *")

    assert worker.run() == []
    worker.travel(minutes=1)
    assert len(worker.run()) == 1


# --- what is left afterwards


def test_afterwards_all_is_as_before(
    app: Flask, events_manager: EventsManager, make_job: MakeJob, ran: list[Any]
) -> None:
    events_manager.register("x", make_job("x"))
    events_manager.fire(Event("x"))
    queueing = events_manager.queueing

    with pytest.raises(KeyError), FakeEvents(app) as events:
        events_manager.fire(Event("x"))
        events_manager.fire(Event("x"), delay=1)
        events.travel(hours=1)
        raise KeyError

    events_manager.fire(Event("x"))
    assert ran == ["x", "x"]
    assert events_manager.queueing is queueing
    assert not queueing.is_needed
    assert travel.ahead == 0.0
    assert not events_manager.registry.signals.is_watched
    assert len(events.fired) == 2


def test_two_apps_are_faked_apart(app: Flask, events_manager: EventsManager, events: FakeEvents) -> None:
    other = Flask("other")
    Condor(other)
    manager: EventsManager = other.extensions["condor"]
    for one in (manager, events_manager):
        one.register("x", note)

    manager.fire(Event("x", "other"))
    events_manager.fire(Event("x", "faked"))

    assert seen == [("x", "other")]
    assert [event.payload for event in events.fired] == ["faked"]


# --- the worker


def test_the_worker_runs_what_is_due_and_tells_what_came_of_it(
    events_manager: EventsManager, worker: EventsWorker
) -> None:
    events_manager.register("x", note, run="queued")
    events_manager.register("x", fail, run="queued", at_most_once=True)
    events_manager.fire(Event("x", 1))
    events_manager.fire(Event("x", 2), delay=60)

    runs = worker.run(check=False)
    assert [(run.job, run.outcome, run.result) for run in runs] == [
        ("tests.test_testing:note", "done", 1),
        ("tests.test_testing:fail", "dead", None),
    ]

    worker.travel(minutes=1)
    with pytest.raises(QueuedJobsFailed, match="1 of 2 runs of queued jobs failed") as raised:
        worker.run()
    assert [run.event.payload for run in raised.value.runs] == [2, 2]


def test_the_worker_runs_now_jobs_in_the_request_as_ever(
    app: Flask, events_manager: EventsManager, worker: EventsWorker
) -> None:
    events_manager.register("x", note)

    events_manager.fire(Event("x", 1))

    assert seen == [("x", 1)]
    assert worker.run() == []


def test_the_worker_works_on_the_apps_own_log_on_both_databases(durable_manager: EventsManager) -> None:
    durable_manager.register("x", note, run="queued")

    with EventsWorker(durable_manager.app) as worker:
        durable_manager.fire(Event("x", 1), delay={"days": 1})
        durable_manager.fire(Event("x", 2))
        assert [run.result for run in worker.run()] == [2]
        worker.travel(days=1)
        durable_manager.fire(Event("x", 3))
        assert [run.result for run in worker.run()] == [1, 3]

    assert sorted(accepted(durable_manager)) == ["x"] * 3


def test_a_log_in_the_instance_folder_is_left_alone(
    app: Flask, events_manager: EventsManager, worker: EventsWorker
) -> None:
    events_manager.register("x", note, run="queued")

    events_manager.fire(Event("x"))

    assert len(worker.run()) == 1
    assert not Path(app.instance_path, "condor.db").exists()


@pytest.mark.parametrize("stand_in", [FakeEvents, EventsWorker])
def test_an_app_with_its_database_in_memory_has_its_queued_jobs_run(
    stand_in: type[FakeEvents] | type[EventsWorker],
) -> None:
    app = Flask("in memory")
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
    db = SQLAlchemy(app)
    Condor(app)
    manager: EventsManager = app.extensions["condor"]
    manager.register("x", note, run="queued")

    with stand_in(app) as tested, app.app_context():
        run = tested.run_queue if isinstance(tested, FakeEvents) else tested.run
        for payload, end in ((1, db.session.rollback), (2, db.session.commit)):
            db.session.execute(text("SELECT 1"))
            ctx.events.fire(Event("x", payload))
            assert run() == []
            end()
        assert [one.result for one in run()] == [2]
        db.session.remove()
        db.engine.dispose()
