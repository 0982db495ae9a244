"""The ten defects of GoCondor's own events manager, and what happens here instead."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from flask import Flask
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventNotRegistered
from flask_condor import EventsManager
from flask_condor import JobsFailed
from flask_condor import ctx

from tests.conftest import MakeJob


@pytest.fixture
def two_requests(app: Flask) -> Any:
    """Run two requests such that both have fired before either's view goes on."""
    both_fired = threading.Barrier(2)

    @app.get("/<name>")
    def view(name: str) -> str:
        ctx.events.fire(Event("x", name))
        both_fired.wait(60)
        ctx.events.fire(Event("x", name))
        return name

    def run() -> None:
        threads = [threading.Thread(target=app.test_client().get, args=(f"/{name}",)) for name in ("ada", "bob")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return run


def test_1_the_request_context_is_no_global_each_job_has_that_of_its_own_request(
    events_manager: EventsManager, two_requests: Any
) -> None:
    pairs: list[tuple[str, str]] = []

    def note(event: Event, ctx: Context) -> None:
        pairs.append((event.payload, ctx.request.path if ctx.request else "no request"))

    events_manager.register("x", note)

    two_requests()

    assert sorted(pairs) == [("ada", "/ada")] * 2 + [("bob", "/bob")] * 2


def test_2_the_fired_events_are_no_global_each_request_runs_its_own(
    events_manager: EventsManager, two_requests: Any
) -> None:
    threads: dict[str, set[int]] = {"ada": set(), "bob": set()}

    def note(event: Event[str], ctx: Context) -> None:
        threads[event.payload].add(threading.get_ident())

    events_manager.register("x", note)
    events_manager.register("x", note, run="after_response")

    two_requests()

    assert len(threads["ada"]) == len(threads["bob"]) == 1
    assert threads["ada"].isdisjoint(threads["bob"])


def test_3_an_event_fired_by_a_job_is_not_lost(
    events_manager: EventsManager, make_job: MakeJob, ran: list[str]
) -> None:
    events_manager.register("uploaded", lambda event, ctx: ctx.events.fire(Event("processed")))
    events_manager.register("processed", make_job("processed"))

    events_manager.fire(Event("uploaded"))

    assert ran == ["processed"]


def test_4_a_crashing_view_leaves_no_event_to_the_next_request(
    app: Flask, events_manager: EventsManager, ran: list[str]
) -> None:
    app.testing = False
    events_manager.register("x", lambda event, ctx: ran.append(event.payload), run="after_response")

    @app.get("/crash")
    def crash() -> str:
        ctx.events.fire(Event("x", "of the crashed request"))
        raise LookupError

    @app.get("/fine")
    def fine() -> str:
        ctx.events.fire(Event("x", "of the next request"))
        return ""

    app.test_client().get("/crash").close()
    app.test_client().get("/fine").close()

    assert ran == ["of the next request"]


def test_5_a_crashing_job_does_not_stop_the_rest(
    events_manager: EventsManager, make_job: MakeJob, ran: list[str], failing_job: Any
) -> None:
    events_manager.register("x", make_job("first"), failing_job, make_job("third"))

    with pytest.raises(JobsFailed):
        events_manager.fire(Event("x"))

    assert ran == ["first", "third"]


def test_6_a_crashing_job_is_not_run_again_by_the_next_request(
    app: Flask, events_manager: EventsManager, make_job: MakeJob, ran: list[str], failing_job: Any
) -> None:
    app.testing = False
    events_manager.register("x", make_job("tried"), failing_job)

    @app.get("/fires")
    def fires() -> str:
        ctx.events.fire(Event("x"))
        return ""

    @app.get("/quiet")
    def quiet() -> str:
        return ""

    first, second = app.test_client().get("/fires"), app.test_client().get("/quiet")

    assert (first.status_code, second.status_code, ran) == (500, 200, ["tried"])


def test_7_an_event_fired_outside_a_request_does_not_wait_for_one(
    app: Flask, events_manager: EventsManager, make_job: MakeJob, ran: list[str]
) -> None:
    events_manager.register("x", make_job("now"))
    events_manager.register("x", make_job("after_response"), run="after_response")

    with app.app_context():
        ctx.events.fire(Event("x"))

    assert ran == ["now", "after_response"]


def test_8_disabling_events_loses_no_registration(
    app: Flask, events_manager: EventsManager, make_job: MakeJob, ran: list[str]
) -> None:
    events_manager.register("x", make_job("before"))
    events_manager.disable()
    events_manager.register("x", make_job("meanwhile"))
    events_manager.enable()

    events_manager.fire(Event("x"))

    assert ran == ["before", "meanwhile"]


def test_9_changes_of_the_payload_do_not_leak_into_jobs_that_run_later(
    app: Flask, events_manager: EventsManager
) -> None:
    seen: list[dict[str, int]] = []

    def change(event: Event[dict[str, int]], ctx: Context) -> None:
        seen.append(dict(event.payload))
        event.payload["total"] = 99

    events_manager.register("x", change, run="after_response")
    events_manager.register("x", lambda event, ctx: seen.append(dict(event.payload)), run="after_response")

    @app.get("/")
    def view() -> str:
        payload = {"total": 1}
        ctx.events.fire(Event("x", payload))
        payload["total"] = 50
        return ""

    app.test_client().get("/")

    assert seen == [{"total": 1}, {"total": 1}]


def test_10_the_manager_is_no_global_two_apps_have_two(
    app: Flask, events_manager: EventsManager, make_job: MakeJob
) -> None:
    other = Flask("other")
    Condor(other)
    events_manager.register("x", make_job("job"))

    with pytest.raises(EventNotRegistered):
        other.extensions["condor"].fire(Event("x"))
