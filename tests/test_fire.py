"""Firing: which jobs run, in which order, with what, and what is refused."""

from __future__ import annotations

import re
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from flask_condor import Condor
from flask_condor import CondorError
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventNotRegistered
from flask_condor import EventsManager
from flask_condor import ctx
from flask_condor.errors import EventInvalid

from tests.conftest import MakeJob

pytestmark = pytest.mark.usefixtures("in_app")


def test_jobs_run_in_the_order_registered_before_fire_returns(
    events_manager: EventsManager, make_job: MakeJob, ran: list[str]
) -> None:
    events_manager.register("signed-up", make_job("first"), make_job("second"))
    events_manager.register("signed-up", make_job("third"))

    ctx.events.fire(Event("signed-up"))

    assert ran == ["first", "second", "third"]


def test_fire_returns_the_event(events_manager: EventsManager) -> None:
    events_manager.register("signed-up")
    event = Event("signed-up")

    assert ctx.events.fire(event) is event


def test_a_job_is_given_the_event_itself_and_a_context(events_manager: EventsManager, app: Flask) -> None:
    given: list[tuple[Event[Any], Context]] = []
    events_manager.register("signed-up", lambda event, ctx: given.append((event, ctx)))
    event = Event("signed-up", {"user": object()})

    ctx.events.fire(event)

    assert given[0][0] is event
    assert given[0][1].app is app


def test_jobs_run_in_the_thread_that_fires(events_manager: EventsManager) -> None:
    threads: list[int] = []
    events_manager.register("signed-up", lambda event, ctx: threads.append(threading.get_ident()))

    ctx.events.fire(Event("signed-up"))

    assert threads == [threading.get_ident()]


def test_a_declared_name_without_jobs_can_be_fired(events_manager: EventsManager) -> None:
    events_manager.register("signed-up")

    ctx.events.fire(Event("signed-up"))


def test_every_event_only_reaches_its_own_jobs(
    events_manager: EventsManager, make_job: MakeJob, ran: list[str]
) -> None:
    events_manager.register("signed-up", make_job("on sign-up"))
    events_manager.register("signed-out", make_job("on sign-out"))

    ctx.events.fire(Event("signed-out"))

    assert ran == ["on sign-out"]


def test_an_empty_name_is_refused(events_manager: EventsManager) -> None:
    with pytest.raises(CondorError, match=r"^event name is empty.*events/event_names\.py"):
        ctx.events.fire(Event(""))


def test_an_unregistered_name_is_refused_with_the_nearest_one(
    events_manager: EventsManager, make_job: MakeJob, ran: list[str]
) -> None:
    events_manager.register("password-changed", make_job("job"))

    with pytest.raises(EventNotRegistered, match=r"^event pasword-changed is not registered\. Did you mean 'password-"):
        ctx.events.fire(Event("pasword-changed"))

    assert ran == []


def test_an_unregistered_name_that_resembles_none_is_refused_with_the_line_to_add(
    events_manager: EventsManager,
) -> None:
    with pytest.raises(EventNotRegistered, match=r"^event x is not registered.*events_manager\.register\('x', job\)"):
        ctx.events.fire(Event("x"))


@pytest.mark.parametrize("name", [None, 3, ["x"], b"x"])
def test_a_name_that_is_no_text_is_refused(events_manager: EventsManager, name: Any) -> None:
    with pytest.raises(CondorError, match="name is a str, got"):
        ctx.events.fire(Event(name))


def test_something_that_is_no_event_is_refused_with_what_to_write(app: Flask, events_manager: EventsManager) -> None:
    events_manager.register("signed-up")
    lookalike: Any = SimpleNamespace(name="signed-up")

    with app.test_request_context():
        ctx.events.fire(Event("signed-up"))
        with pytest.raises(CondorError, match=r"takes an Event, got namespace\(name='signed-up'\)"):
            ctx.events.fire(lookalike)
    with pytest.raises(CondorError, match=r"takes an Event, got 'signed-up'.*fire\(Event\(NAME, payload\)\)"):
        ctx.events.fire("signed-up")  # type: ignore[arg-type]


def test_a_bound_manager_fires_without_an_app_context_around(make_job: MakeJob, ran: list[str]) -> None:
    elsewhere = Flask("elsewhere")
    Condor(elsewhere)
    manager = elsewhere.extensions["condor"]
    manager.register("signed-up", make_job("job"))

    manager.fire(Event("signed-up"))

    assert ran == ["job"]


def test_the_first_fire_and_the_thousandth_run_the_same_jobs(
    events_manager: EventsManager, app: Flask, make_job: MakeJob, ran: list[str]
) -> None:
    events_manager.register("signed-up", make_job("first"), make_job("second"))

    with app.test_request_context():
        for _ in range(1000):
            ctx.events.fire(Event("signed-up"))

    assert ran == ["first", "second"] * 1000


def test_emit_makes_the_event_and_fires_it(events_manager: EventsManager) -> None:
    seen: list[Event[Any]] = []
    events_manager.register("signed-up", lambda event, ctx: seen.append(event))

    event = ctx.events.emit("signed-up", {"name": "Ada"}, id="17")

    assert seen == [event]
    assert (event.type, event.data, event.id) == ("signed-up", {"name": "Ada"}, "17")


def test_emit_accepts_a_name_that_nobody_listens_to(events_manager: EventsManager) -> None:
    event = ctx.events.emit("payment.failed", {"amount": 3})

    assert event.name == "payment.failed"


def test_emit_refuses_an_empty_name(events_manager: EventsManager) -> None:
    with pytest.raises(CondorError, match="^event name is empty"):
        ctx.events.emit("")


def test_emit_works_from_any_function_and_thread(
    app: Flask, events_manager: EventsManager, make_job: MakeJob, ran: list[str]
) -> None:
    events_manager.register("signed-up", make_job("job"))

    def work() -> None:
        with app.app_context():
            ctx.events.emit("signed-up")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert ran == ["job"]


@pytest.mark.parametrize("name", ["x" * 256, "a\0b", "\ud800"])
def test_a_name_that_no_database_holds_is_refused(events_manager: EventsManager, name: str) -> None:
    with pytest.raises(CondorError, match="an event's name (has at most 255 characters|is .*may not hold NUL)"):
        events_manager.emit(name)


def test_an_id_that_no_database_holds_is_refused_before_anything_is_queued(
    events_manager: EventsManager, make_job: MakeJob, ran: list[str]
) -> None:
    events_manager.register("x", make_job("now"))
    events_manager.register("x", make_job("queued"), run="queued")

    with pytest.raises(CondorError, match="an event's id has at most 255 characters, this one 300"):
        events_manager.emit("x", id="i" * 300)

    assert ran == []


@pytest.mark.parametrize("is_queued", [True, False])
@pytest.mark.parametrize("id", [7, 0, b"seven", ["seven"]])
def test_an_id_that_is_no_text_is_refused_where_events_are_stored(
    events_manager: EventsManager, make_job: MakeJob, ran: list[str], id: Any, is_queued: bool
) -> None:
    events_manager.register("x", make_job("now"))
    events_manager.register("x" if is_queued else "y", make_job("queued"), run="queued")

    with pytest.raises(EventInvalid, match=rf"an event's id is a str, got {re.escape(repr(id))}\."):
        events_manager.fire(Event("x", id=id))

    assert ran == []
