"""The context: what jobs are given, and the module's `ctx` that follows the current app."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import pytest
from flask import Flask
from flask.globals import request_ctx
from flask_condor import Condor
from flask_condor import CondorError
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor import ctx
from flask_condor import resolve_events_manager

from tests.conftest import MakeJob


def test_a_job_reads_the_request_the_app_and_the_logger(app: Flask, events_manager: EventsManager) -> None:
    seen: list[Any] = []
    events_manager.register(
        "x", lambda event, ctx: seen.extend([ctx.request and ctx.request.path, ctx.app, ctx.logger])
    )

    with app.test_request_context("/signup"):
        ctx.events.fire(Event("x"))

    assert seen == ["/signup", app, app.logger]


def test_there_is_no_request_outside_one(app: Flask, events_manager: EventsManager) -> None:
    seen: list[Any] = []
    events_manager.register("x", lambda event, ctx: seen.append(ctx.request))

    with app.app_context():
        ctx.events.fire(Event("x"))

    assert seen == [None]
    assert ctx.request is None


def test_each_request_inside_one_app_context_has_its_own_context(app: Flask, events_manager: EventsManager) -> None:
    seen: list[Any] = []
    events_manager.register("x", lambda event, ctx: seen.append((ctx.request and ctx.request.path, event.source)))

    @app.get("/<word>")
    def view(word: str) -> str:
        ctx.events.fire(Event("x"))
        ctx.events.fire(Event("x"))
        return word

    with app.app_context():
        ctx.events.fire(Event("x"))
        app.test_client().get("/one")
        app.test_client().get("/two")
        ctx.events.fire(Event("x"))

    one, two, none = ("/one", "handler"), ("/two", "handler"), (None, "app")
    assert seen == [none, one, one, two, two, none]


def test_the_source_tells_a_command_from_a_request_and_from_other_code(
    app: Flask, events_manager: EventsManager
) -> None:
    sources: list[str] = []
    events_manager.register("x", lambda event, ctx: sources.append(event.source))

    @app.cli.command("fire-one")
    def fire_one() -> None:
        ctx.events.fire(Event("x"))

    result = app.test_cli_runner().invoke(args=["fire-one"])
    with app.test_request_context():
        ctx.events.fire(Event("x"))
    events_manager.fire(Event("x"))

    assert (result.exit_code, sources) == (0, ["cli", "handler", "app"])


def test_a_thread_that_a_job_starts_can_go_on_using_its_context(
    app: Flask, events_manager: EventsManager, make_job: MakeJob, ran: list[str]
) -> None:
    paths: list[str] = []
    release = threading.Event()
    threads: list[threading.Thread] = []

    def start_thread(event: Event[Any], ctx: Context) -> None:
        def work() -> None:
            release.wait(60)
            assert ctx.request is not None
            paths.append(ctx.request.path)
            ctx.events.fire(Event("done"))

        threads.append(threading.Thread(target=work))
        threads[0].start()

    events_manager.register("x", start_thread)
    events_manager.register("done", make_job("done"))

    @app.get("/slow")
    def view() -> str:
        ctx.events.fire(Event("x"))
        return "ok"

    app.test_client().get("/slow")
    release.set()
    threads[0].join()

    assert (paths, ran) == (["/slow"], ["done"])


def test_the_context_of_one_app_fires_in_that_app_even_inside_another(
    app: Flask, events_manager: EventsManager, make_job: MakeJob, ran: list[str]
) -> None:
    other = Flask("other")
    Condor(other)
    other.extensions["condor"].register("x", make_job("other's"))
    events_manager.register("x", make_job("test's"))

    with app.test_request_context(), other.test_request_context():
        ctx.events.fire(Event("x"))
        events_manager.fire(Event("x"))

    assert ran == ["other's", "test's"]


@pytest.mark.parametrize(
    "use",
    [
        lambda: ctx.events.fire(Event("x")),
        lambda: ctx.events.emit("x"),
        lambda: ctx.events.signal("x"),
        lambda: ctx.events.register("x"),
        lambda: ctx.app,
        lambda: ctx.logger,
        resolve_events_manager,
    ],
)
def test_outside_an_app_the_error_says_how_to_enter_one(use: Any) -> None:
    with pytest.raises(CondorError, match=r"outside an app context.*with app\.app_context\(\)"):
        use()


def test_in_an_app_without_condor_the_error_says_what_to_call() -> None:
    with Flask("bare").app_context(), pytest.raises(CondorError, match=r"app 'bare' has no Condor: call Condor\(app\)"):
        ctx.events.fire(Event("x"))


def test_contexts_can_be_shown_anywhere(app: Flask, events_manager: EventsManager) -> None:
    shown: list[str] = []
    events_manager.register("x", lambda event, ctx: shown.append(repr(ctx)))

    shown.append(repr(ctx))
    with app.test_request_context("/here"):
        shown.append(repr(ctx))
        ctx.events.fire(Event("x"))

    assert shown[:2] == ["<ctx outside an app>", "<ctx of 'test'>"]
    assert "of 'test', request <Request 'http://localhost/here' [GET]>" in shown[2]


def test_flask_s_own_request_is_the_one_in_the_context(app: Flask, events_manager: EventsManager) -> None:
    seen: list[bool] = []
    events_manager.register("x", lambda event, ctx: seen.append(ctx.request is request_ctx.request))

    with app.test_request_context():
        ctx.events.fire(Event("x"))

    assert seen == [True]


@pytest.mark.parametrize("first", ["emit", "fire_async", "emit_async"])
def test_the_context_is_bound_to_its_app_whichever_way_the_event_was_fired(
    app: Flask, events_manager: EventsManager, make_job: MakeJob, ran: list[str], first: str
) -> None:
    def start_thread(event: Event, ctx: Context) -> None:
        thread = threading.Thread(target=lambda: ctx.events.fire(Event("done")))
        thread.start()
        thread.join()

    events_manager.register("x", start_thread)
    events_manager.register("done", make_job("done"))

    with app.test_request_context():
        if first == "emit":
            ctx.events.emit("x")
        else:
            asyncio.run(ctx.events.fire_async(Event("x")) if first == "fire_async" else ctx.events.emit_async("x"))

    assert ran == ["done"]


def test_a_teardown_that_fires_leaves_no_request_behind_in_the_app_context_around_it() -> None:
    app = Flask("around")
    paths: list[Any] = []

    @app.teardown_request
    def fire_at_teardown(error: BaseException | None) -> None:
        ctx.events.fire(Event("x"))

    Condor(app)
    app.extensions["condor"].register("x", lambda event, ctx: paths.append(ctx.request and ctx.request.path))

    with app.app_context():
        app.test_client().get("/gone")
        ctx.events.fire(Event("x"))

    assert paths == ["/gone", None]


def test_a_thread_that_shares_the_app_context_of_a_request_keeps_its_own_causes(
    app: Flask, events_manager: EventsManager, ran: list[str]
) -> None:
    depths: list[tuple[str, int]] = []
    started, release = threading.Event(), threading.Event()

    def slow(event: Event, ctx: Context) -> None:
        started.set()
        release.wait(60)

    events_manager.register("slow", slow)
    events_manager.register("quick", lambda event, ctx: depths.append((event.name, event.depth)))

    with app.test_request_context():
        for name in ("slow", "quick"):
            release.set()
            ctx.events.fire(Event(name))
        release.clear()
        started.clear()
        shared = contextvars.copy_context()
        thread = threading.Thread(target=shared.run, args=(lambda: ctx.events.fire(Event("slow")),))
        thread.start()
        started.wait(60)
        ctx.events.fire(Event("quick"))
        release.set()
        thread.join()
        ctx.events.fire(Event("quick"))

    assert depths == [("quick", 1)] * 3
