"""Events fired by jobs: run at once, depth first, linked to their cause, and stopped when they never end."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventLoop
from flask_condor import EventsManager
from flask_condor import JobsFailed
from flask_condor import ctx

from tests.conftest import MakeJob


@pytest.fixture(autouse=True, params=["from a handler", "outside a request"])
def context(request: pytest.FixtureRequest, app: Flask) -> Any:
    with app.test_request_context() if request.param == "from a handler" else app.app_context():
        yield


def fires(*names: str) -> Any:
    def job(event: Event[Any], ctx: Context) -> None:
        for name in names:
            ctx.events.fire(Event(name, event.payload))

    return job


def test_nested_events_run_depth_first_at_once(
    events_manager: EventsManager, make_job: MakeJob, ran: list[str]
) -> None:
    events_manager.register("a", make_job("a1"), fires("b", "c"), make_job("a3"))
    events_manager.register("b", make_job("b1"), fires("c"), make_job("b3"))
    events_manager.register("c", make_job("c1"))

    ctx.events.fire(Event("a"))

    assert ran == ["a1", "b1", "c1", "b3", "c1", "a3"]


@pytest.mark.parametrize("by", ["the context given", "the module's ctx", "the manager"])
def test_a_nested_event_knows_its_cause(events_manager: EventsManager, by: str) -> None:
    seen: list[Event[Any]] = []

    def process(event: Event[Any], ctx: Context) -> None:
        ways = {"the context given": ctx.events, "the module's ctx": module_ctx.events, "the manager": events_manager}
        ways[by].fire(Event("processed"))

    module_ctx = ctx
    events_manager.register("uploaded", lambda event, ctx: seen.append(event), process)
    events_manager.register("processed", lambda event, ctx: seen.append(event))

    ctx.events.fire(Event("uploaded"))

    root, nested = seen
    assert (root.depth, root.cause) == (1, None)
    assert (nested.depth, nested.source) == (2, "job")
    assert nested.cause is not None
    assert (nested.cause.event_id, nested.cause.event_name, nested.cause.job) == (root.id, "uploaded", "process")


def test_the_second_of_two_nested_fires_has_the_same_depth_as_the_first(events_manager: EventsManager) -> None:
    depths: list[int] = []
    events_manager.register("a", fires("b", "b"), fires("b"))
    events_manager.register("b", lambda event, ctx: depths.append(event.depth))

    ctx.events.fire(Event("a"))
    ctx.events.fire(Event("b"))

    assert depths == [2, 2, 2, 1]


def test_a_failing_nested_job_fails_the_job_that_fired_it_and_no_other(
    events_manager: EventsManager, make_job: MakeJob, ran: list[str], failing_job: Any
) -> None:
    events_manager.register("a", fires("b"), make_job("a2"))
    events_manager.register("b", failing_job, make_job("b2"))

    with pytest.raises(JobsFailed) as failed:
        ctx.events.fire(Event("a"))

    (inner,) = failed.value.exceptions
    assert ran == ["b2", "a2"]
    assert isinstance(inner, JobsFailed)
    assert [type(error) for error in inner.exceptions] == [ValueError]


def test_a_job_that_fires_its_own_event_is_stopped_after_32(
    events_manager: EventsManager, make_job: MakeJob, ran: list[str]
) -> None:
    events_manager.register("a", make_job("ran"), fires("a"))

    with pytest.raises(EventLoop) as loop:
        ctx.events.fire(Event("a"))

    assert len(ran) == 32
    assert loop.value.chain == ("a",) * 33
    assert "longer than 32 (CONDOR_MAX_DEPTH): a -> a -> " in str(loop.value)


def test_two_events_that_fire_each_other_are_stopped_and_the_chain_is_named(events_manager: EventsManager) -> None:
    depths: list[int] = []
    events_manager.register("a", lambda event, ctx: depths.append(event.depth), fires("b"))
    events_manager.register("b", lambda event, ctx: depths.append(event.depth), fires("a"))

    with pytest.raises(EventLoop, match="a -> b -> a -> b -> "):
        ctx.events.fire(Event("a"))

    assert depths == list(range(1, 33))


def test_a_chain_with_another_payload_at_each_hop_is_stopped_too(events_manager: EventsManager) -> None:
    hops: list[int] = []

    def hop(event: Event[int], ctx: Context) -> None:
        hops.append(event.payload)
        ctx.events.fire(Event("hop", event.payload + 1))

    events_manager.register("hop", hop)

    with pytest.raises(EventLoop):
        ctx.events.fire(Event("hop", 1))

    assert hops == list(range(1, 33))


def test_the_same_event_object_fired_by_its_own_job_is_stopped_too(events_manager: EventsManager) -> None:
    depths: list[int] = []

    def fire_again(event: Event[Any], ctx: Context) -> None:
        depths.append(event.depth)
        ctx.events.fire(event)

    events_manager.register("a", fire_again)

    with pytest.raises(EventLoop):
        ctx.events.fire(Event("a"))

    assert depths == list(range(1, 33))


def test_a_bomb_that_multiplies_by_ten_is_stopped_after_10_000_descendants(events_manager: EventsManager) -> None:
    count = 0

    def count_up(event: Event[Any], ctx: Context) -> None:
        nonlocal count
        count += 1

    letters = "abcdefgh"
    for letter, following in zip(letters, letters[1:], strict=False):
        events_manager.register(letter, count_up, *(fires(following) for _ in range(10)))
    events_manager.register(letters[-1], count_up)

    with pytest.raises(EventLoop, match="'a' led to more than 10,000 others: a -> b -> c -> d -> e"):
        ctx.events.fire(Event("a"))

    assert count == 1 + 10_000


def test_the_next_root_after_a_bomb_has_a_limit_of_its_own(events_manager: EventsManager) -> None:
    events_manager.register("a", fires("a"))
    events_manager.register("b", fires("c"))
    events_manager.register("c")

    with pytest.raises(EventLoop):
        ctx.events.fire(Event("a"))
    ctx.events.fire(Event("b"))


def test_the_innocent_jobs_of_the_root_run_beside_a_loop(
    events_manager: EventsManager, make_job: MakeJob, ran: list[str]
) -> None:
    events_manager.register("a", fires("b"), make_job("audit"))
    events_manager.register("b", fires("b"))

    with pytest.raises(EventLoop):
        ctx.events.fire(Event("a"))

    assert ran == ["audit"]


def test_the_depth_limit_is_a_setting() -> None:
    app = Flask("shallow")
    app.config["CONDOR_MAX_DEPTH"] = 3
    Condor(app)
    manager = app.extensions["condor"]
    depths: list[int] = []
    manager.register("a", lambda event, ctx: depths.append(event.depth), fires("a"))

    with pytest.raises(EventLoop, match=r"longer than 3 \(CONDOR_MAX_DEPTH\): a -> a -> a -> a\."):
        manager.fire(Event("a"))

    assert depths == [1, 2, 3]


def test_under_the_log_policy_a_loop_is_logged_and_stops(caplog: pytest.LogCaptureFixture) -> None:
    app = Flask("logging")
    app.config["CONDOR_JOB_ERRORS"] = "log"
    Condor(app)
    app.extensions["condor"].register("a", fires("a"))

    app.extensions["condor"].fire(Event("a"))

    (record,) = caplog.records
    assert "EventLoop: event chain is longer than 32" in record.getMessage()


@pytest.mark.parametrize("policy", ["raise", "log"])
def test_what_a_job_does_to_the_event_s_jobs_changes_nothing_in_the_fire_under_way(
    make_job: MakeJob, ran: list[str], failing_job: Any, policy: str
) -> None:
    app = Flask("changing")
    app.config["CONDOR_JOB_ERRORS"] = policy
    Condor(app)
    manager = app.extensions["condor"]
    fourth = make_job("4")

    def change(event: Event[Any], ctx: Context) -> None:
        ran.append("2")
        for _ in range(3):
            ctx.events.fire(Event("nested"))
        if event.payload == "first":
            ctx.events.register("a", make_job("6"))
            ctx.events.unregister("a", fourth)
        raise ValueError

    manager.register("nested", make_job("n"))
    manager.register("a", make_job("1"), change, make_job("3"), fourth, make_job("5"))

    for payload in ("first", "second"):
        try:
            manager.fire(Event("a", payload))
        except JobsFailed:
            assert policy == "raise"

    assert "".join(ran) == "12nnn345" + "12nnn356"


@pytest.mark.parametrize("entered", ["a request", "an app context", "the test client"])
def test_a_chain_goes_on_through_contexts_that_its_jobs_enter(
    app: Flask, events_manager: EventsManager, entered: str
) -> None:
    depths: list[int] = []
    fire = ctx.events.fire

    @app.get("/again")
    def again() -> str:
        ctx.events.fire(Event("x"))
        return ""

    def enter(event: Event, ctx: Context) -> None:
        depths.append(event.depth)
        if entered == "the test client":
            app.test_client().get("/again")
            return
        with app.test_request_context() if entered == "a request" else app.app_context():
            fire(Event("x"))

    events_manager.register("x", enter)

    with pytest.raises(EventLoop):
        ctx.events.fire(Event("x"))

    assert depths == list(range(1, 33))


def test_a_request_that_a_job_enters_and_leaves_does_not_make_it_forget_its_depth(
    app: Flask, events_manager: EventsManager
) -> None:
    depths: list[int] = []

    def look_elsewhere_first(event: Event, ctx: Context) -> None:
        depths.append(event.depth)
        with app.test_request_context():
            ctx.events.emit("nobody")
        ctx.events.fire(Event("x"))

    events_manager.register("x", look_elsewhere_first)

    with pytest.raises(EventLoop):
        ctx.events.fire(Event("x"))

    assert depths == list(range(1, 33))


def test_two_apps_that_fire_into_each_other_are_stopped(app: Flask, events_manager: EventsManager) -> None:
    other = Flask("other")
    Condor(other)
    count = 0

    def fire_in(target: EventsManager) -> Any:
        def job(event: Event, ctx: Context) -> None:
            nonlocal count
            count += 1
            target.fire(Event("ping"))

        return job

    events_manager.register("ping", fire_in(other.extensions["condor"]))
    other.extensions["condor"].register("ping", fire_in(events_manager))

    with pytest.raises(EventLoop):
        events_manager.fire(Event("ping"))

    assert count == 32


def test_an_event_kept_as_a_constant_is_a_new_root_each_time_it_is_fired(
    app: Flask, events_manager: EventsManager
) -> None:
    constant: Event = Event("x")
    events_manager.register("x", fires("child"))
    events_manager.register("child")

    for _ in range(10_001):
        ctx.events.fire(constant)
