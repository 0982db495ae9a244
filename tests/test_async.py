"""Async jobs: run by `fire` in sync code, awaited by `fire_async`, refused by `fire` in a running loop."""

from __future__ import annotations

import asyncio
import inspect
import sys
from typing import Any

import pytest
from flask import Flask
from flask_condor import Condor
from flask_condor import CondorError
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventLoop
from flask_condor import EventsManager
from flask_condor import JobsFailed
from flask_condor import ctx

from tests.conftest import MakeJob


@pytest.fixture
def async_job(ran: list[str]) -> Any:
    async def send_mail(event: Event[Any], ctx: Context) -> None:
        await asyncio.sleep(0)
        ran.append("async")

    return send_mail


def test_fire_runs_async_jobs_in_their_order(
    app: Flask, events_manager: EventsManager, async_job: Any, make_job: MakeJob, ran: list[str]
) -> None:
    events_manager.register("x", make_job("first"), async_job, make_job("third"))

    with app.test_request_context():
        ctx.events.fire(Event("x"))

    assert ran == ["first", "async", "third"]


def test_an_object_whose_call_is_async_is_an_async_job(events_manager: EventsManager, ran: list[str]) -> None:
    class Mailer:
        async def __call__(self, event: Event[Any], ctx: Context) -> None:
            ran.append("called")

    events_manager.register("x", Mailer())
    events_manager.fire(Event("x"))

    assert ran == ["called"]


def test_fire_async_awaits_the_async_jobs_and_calls_the_others_in_order(
    app: Flask, events_manager: EventsManager, async_job: Any, make_job: MakeJob, ran: list[str]
) -> None:
    events_manager.register("x", make_job("first"), async_job, make_job("third"))

    @app.get("/")
    async def view() -> str:
        event = Event("x")
        assert await ctx.events.fire_async(event) is event
        return "fired"

    assert app.test_client().get("/").text == "fired"
    assert ran == ["first", "async", "third"]


def test_emit_async_accepts_a_name_that_nobody_listens_to(app: Flask, events_manager: EventsManager) -> None:
    async def emit() -> Event[Any]:
        return await ctx.events.emit_async("nobody", {"a": 1}, id="7")

    with app.app_context():
        event = asyncio.run(emit())

    assert (event.name, event.payload, event.id) == ("nobody", {"a": 1}, "7")


def test_fire_async_refuses_as_fire_does(app: Flask, events_manager: EventsManager) -> None:
    with app.app_context(), pytest.raises(CondorError, match="event x is not registered"):
        asyncio.run(ctx.events.fire_async(Event("x")))


def test_plain_fire_in_a_running_loop_runs_sync_jobs_and_names_the_twin_for_async_ones(
    app: Flask, events_manager: EventsManager, async_job: Any, make_job: MakeJob, ran: list[str]
) -> None:
    events_manager.register("x", make_job("first"), async_job, make_job("third"))

    async def fire() -> None:
        ctx.events.fire(Event("x"))

    with (
        app.test_request_context(),
        pytest.raises(JobsFailed, match=r"send_mail is async.*await ctx\.events\.fire_async"),
    ):
        asyncio.run(fire())

    assert ran == ["first", "third"]


def test_failures_of_async_and_sync_jobs_are_raised_together(
    app: Flask, events_manager: EventsManager, make_job: MakeJob, ran: list[str], failing_job: Any
) -> None:
    async def fail(event: Event[Any], ctx: Context) -> None:
        raise KeyError("async")

    events_manager.register("x", fail, failing_job, make_job("third"))

    with app.app_context(), pytest.raises(JobsFailed, match="2 of 3 jobs of event 'x' failed: fail .* failing "):
        asyncio.run(ctx.events.fire_async(Event("x")))

    assert ran == ["third"]


def test_an_async_job_after_the_response_is_awaited(
    app: Flask, events_manager: EventsManager, async_job: Any, ran: list[str]
) -> None:
    events_manager.register("x", async_job, run="after_response")

    @app.get("/")
    async def view() -> str:
        await ctx.events.fire_async(Event("x"))
        ran.append("view")
        return ""

    app.test_client().get("/")

    assert ran == ["view", "async"]


def test_events_fired_by_tasks_at_the_same_time_keep_their_own_causes(
    app: Flask, events_manager: EventsManager
) -> None:
    causes: list[tuple[str, str, int]] = []

    async def relay(event: Event[str], ctx: Context) -> None:
        await asyncio.sleep(0.001)
        ctx.events.fire(Event("sync", event.payload))
        await asyncio.sleep(0.001)
        await ctx.events.fire_async(Event("async", event.payload))

    def note(event: Event[str], ctx: Context) -> None:
        assert event.cause is not None
        causes.append((event.payload, event.cause.event_id, event.depth))

    events_manager.register("root", relay)
    events_manager.register("sync", note)
    events_manager.register("async", note)

    async def fire_all() -> None:
        roots = [Event("root", str(number), id=str(number)) for number in range(50)]
        await asyncio.gather(*(ctx.events.fire_async(root) for root in roots))

    with app.test_request_context():
        asyncio.run(fire_all())
        ctx.events.fire(Event("root", "after", id="after"))

    assert len(causes) == 102
    assert all(payload == cause and depth == 2 for payload, cause, depth in causes)


def test_an_async_job_that_fires_its_own_event_is_stopped_after_32(app: Flask, events_manager: EventsManager) -> None:
    depths: list[int] = []

    async def again(event: Event[Any], ctx: Context) -> None:
        depths.append(event.depth)
        await ctx.events.fire_async(Event("x"))

    events_manager.register("x", again)

    with app.test_request_context():
        with pytest.raises(EventLoop):
            ctx.events.fire(Event("x"))
        with pytest.raises(EventLoop):
            asyncio.run(ctx.events.fire_async(Event("x")))

    assert depths == [*range(1, 33), *range(1, 33)]


def test_an_async_job_without_asgiref_is_refused_when_it_is_registered(
    events_manager: EventsManager, async_job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "asgiref.sync", None)

    with pytest.raises(CondorError, match=r"job send_mail is async.*pip install 'flask\[async\]'"):
        events_manager.register("x", async_job)


def test_an_app_may_choose_how_async_jobs_run(ran: list[str], async_job: Any) -> None:
    class LoopingFlask(Flask):
        def ensure_sync(self, func: Any) -> Any:
            def run(*args: Any, **kwargs: Any) -> Any:
                ran.append("own way")
                return asyncio.run(func(*args, **kwargs))

            return run if inspect.iscoroutinefunction(func) else func

    app = LoopingFlask("own")
    Condor(app)
    app.extensions["condor"].register("x", async_job)

    app.extensions["condor"].fire(Event("x"))

    assert ran == ["own way", "async"]


def test_an_async_job_that_runs_at_once_for_want_of_a_request_runs_in_a_loop_of_its_own(
    events_manager: EventsManager, async_job: Any, ran: list[str]
) -> None:
    events_manager.register("x", async_job, run="after_response")

    asyncio.run(events_manager.fire_async(Event("x")))

    assert ran == ["async"]
