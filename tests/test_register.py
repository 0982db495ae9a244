"""Registering: what is taken, what is refused with which words, and when it takes effect."""

from __future__ import annotations

import functools
import gc
import os
import re
import subprocess
import sys
from typing import Any

import pytest
from flask import Flask
from flask_condor import Condor
from flask_condor import CondorError
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor import ctx
from flask_condor import resolve_events_manager

from tests.conftest import MakeJob

pytestmark = pytest.mark.usefixtures("in_app")


def test_the_current_app_has_one_events_manager(events_manager: EventsManager) -> None:
    assert resolve_events_manager() is events_manager


def test_a_job_registered_twice_is_refused_naming_both_places(events_manager: EventsManager, make_job: MakeJob) -> None:
    job = make_job("send_mail")
    events_manager.register("signed-up", job)

    with pytest.raises(CondorError) as refused:
        events_manager.register("signed-up", job)

    places = re.findall(r"test_register\.py:(\d+)", str(refused.value))
    assert "send_mail is already registered for event 'signed-up'" in str(refused.value)
    assert len(set(places)) == 2


def test_a_job_given_twice_in_one_line_is_refused_and_neither_runs(
    events_manager: EventsManager, make_job: MakeJob, ran: list[str]
) -> None:
    job = make_job("send_mail")

    with pytest.raises(CondorError, match="already registered"):
        events_manager.register("signed-up", job, job)

    ctx.events.emit("signed-up")
    assert ran == []


def test_the_bound_method_of_one_object_is_one_job(events_manager: EventsManager) -> None:
    class Mailer:
        def send(self, event: Event[Any], ctx: Context) -> None: ...

    mailer = Mailer()
    events_manager.register("signed-up", mailer.send, Mailer().send)

    with pytest.raises(CondorError, match="already registered"):
        events_manager.register("signed-up", mailer.send)


def test_one_job_may_serve_several_names_and_both_run_words(
    events_manager: EventsManager, make_job: MakeJob, ran: list[str]
) -> None:
    job = make_job("job")
    events_manager.register("signed-up", job)
    events_manager.register("signed-up", job, run="after_response")
    events_manager.register("signed-out", job)

    ctx.events.fire(Event("signed-up"))

    assert ran == ["job", "job"]


def takes_nothing() -> None: ...


def takes_event(event: Any) -> None: ...


def takes_more(event: Any, ctx: Any, more: Any) -> None: ...


def names_it_otherwise(event: Any, context: Any) -> None: ...


@pytest.mark.parametrize("job", [takes_nothing, takes_event, takes_more, names_it_otherwise])
def test_a_job_that_cannot_take_event_and_ctx_is_refused_by_name(events_manager: EventsManager, job: Any) -> None:
    with pytest.raises(CondorError) as refused:
        events_manager.register("signed-up", job)

    assert f"job {job.__name__} cannot be called as job(event, ctx=ctx)" in str(refused.value)
    assert f"`def {job.__name__}(event, ctx)`" in str(refused.value)


@pytest.mark.parametrize(("job", "hint"), [(None, r"job, not job\(\)"), ("send_mail", "Pass a function")])
def test_something_that_is_no_function_is_refused(events_manager: EventsManager, job: Any, hint: str) -> None:
    with pytest.raises(CondorError, match=hint):
        events_manager.register("signed-up", job)


def test_jobs_are_registered_together_or_not_at_all(
    events_manager: EventsManager, make_job: MakeJob, ran: list[str]
) -> None:
    with pytest.raises(CondorError):
        events_manager.register("signed-up", make_job("good"), takes_nothing)  # type: ignore[arg-type]

    ctx.events.emit("signed-up")
    assert ran == []


def test_an_unknown_run_word_is_refused(events_manager: EventsManager) -> None:
    with pytest.raises(CondorError, match="run='later' is unknown: write 'now'"):
        events_manager.register("signed-up", lambda event, ctx: None, run="later")  # type: ignore[call-overload]


def test_an_empty_name_is_refused(events_manager: EventsManager) -> None:
    with pytest.raises(CondorError, match="^event name is empty"):
        events_manager.register("", lambda event, ctx: None)


def test_every_kind_of_callable_is_a_job_and_is_kept_alive(events_manager: EventsManager, ran: list[str]) -> None:
    class Mailer:
        def send(self, event: Event[Any], ctx: Context) -> None:
            ran.append("method")

        def __call__(self, event: Event[Any], ctx: Context) -> None:
            ran.append("object")

    def log(word: str, event: Event[Any], ctx: Context) -> None:
        ran.append(word)

    def keyword_only(event: Any, *, ctx: Any) -> None:
        ran.append("keyword only")

    keyword_only_job: Any = keyword_only

    def anything(*args: Any, **kwargs: Any) -> None:
        ran.append("anything")

    events_manager.register("x", Mailer().send, Mailer(), functools.partial(log, "partial"), keyword_only_job, anything)
    events_manager.register("x", lambda event, ctx: ran.append("lambda"))
    gc.collect()

    ctx.events.fire(Event("x"))

    assert ran == ["method", "object", "partial", "keyword only", "anything", "lambda"]


def test_a_job_registered_by_a_job_runs_from_the_next_fire_on(
    events_manager: EventsManager, make_job: MakeJob, ran: list[str]
) -> None:
    def register_another(event: Event[Any], ctx: Context) -> None:
        if not ran:
            ctx.events.register("signed-up", make_job("another"))
        ran.append("register_another")

    events_manager.register("signed-up", register_another)

    ctx.events.fire(Event("signed-up"))
    ctx.events.fire(Event("signed-up"))

    assert ran == ["register_another", "register_another", "another"]


def test_an_unregistered_job_runs_no_more_and_may_come_back_last(
    events_manager: EventsManager, make_job: MakeJob, ran: list[str]
) -> None:
    first, second = make_job("first"), make_job("second")
    events_manager.register("signed-up", first, second)
    events_manager.unregister("signed-up", first)
    events_manager.register("signed-up", first)

    ctx.events.fire(Event("signed-up"))

    assert ran == ["second", "first"]


def test_unregistering_takes_a_job_out_under_every_run_word(
    events_manager: EventsManager, make_job: MakeJob, ran: list[str]
) -> None:
    job = make_job("job")
    events_manager.register("signed-up", job)
    events_manager.register("signed-up", job, run="after_response")
    events_manager.unregister("signed-up", job)

    ctx.events.fire(Event("signed-up"))

    assert ran == []


def test_unregistering_what_is_not_registered_is_refused(events_manager: EventsManager, make_job: MakeJob) -> None:
    events_manager.register("signed-up")

    with pytest.raises(CondorError, match="job other is not registered for event 'signed-up'"):
        events_manager.unregister("signed-up", make_job("other"))
    with pytest.raises(CondorError, match="event signed-in is not registered"):
        events_manager.unregister("signed-in", make_job("other"))


def test_the_order_and_the_listeners_are_the_same_in_20_fresh_processes() -> None:
    command = [sys.executable, "-m", "tests.apps.hundred_jobs"]
    environment = os.environ | {"PYTHONHASHSEED": "random"}
    orders = [subprocess.run(command, env=environment, capture_output=True, text=True, check=True) for _ in range(20)]

    assert {len(order.stdout.split()) for order in orders} == {100}
    assert len({order.stdout for order in orders}) == 1


def test_two_apps_in_one_process_share_no_registration(app: Flask, events_manager: EventsManager) -> None:
    other = Flask("other")
    Condor(other)
    events_manager.register("signed-up")

    with other.app_context(), pytest.raises(CondorError, match="event signed-up is not registered"):
        ctx.events.fire(Event("signed-up"))


def test_a_wrapped_job_is_called_as_its_wrapper_takes_it(events_manager: EventsManager, ran: list[str]) -> None:
    def job(event: Event, ctx: Context) -> None:
        ran.append("job")

    @functools.wraps(job)
    def wrapper(event: Event, **kwargs: Any) -> None:
        job(event, **kwargs)

    wrapped: Any = wrapper
    events_manager.register("x", wrapped)
    ctx.events.fire(Event("x"))

    assert ran == ["job"]


def test_a_wrapper_that_cannot_take_ctx_is_refused(events_manager: EventsManager, make_job: MakeJob) -> None:
    @functools.wraps(make_job("job"))
    def wrapper(event: Event) -> None: ...

    wrapped: Any = wrapper
    with pytest.raises(CondorError, match="cannot be called as job"):
        events_manager.register("x", wrapped)


@pytest.mark.parametrize("kind", ["generator", "async generator"])
def test_a_generator_whose_body_would_never_run_is_refused(events_manager: EventsManager, kind: str) -> None:
    def generator(event: Event, ctx: Context) -> Any:
        yield

    async def async_generator(event: Event, ctx: Context) -> Any:
        yield

    with pytest.raises(CondorError, match="has a `yield` in it"):
        events_manager.register("x", generator if kind == "generator" else async_generator)


def test_a_class_may_be_a_job_whose_call_is_its_making(events_manager: EventsManager, ran: list[str]) -> None:
    class Mail:
        def __init__(self, event: Event, ctx: Context) -> None:
            ran.append("made")

        async def __call__(self, event: Event, ctx: Context) -> None: ...

    events_manager.register("x", Mail)
    ctx.events.fire(Event("x"))

    assert ran == ["made"]
