"""Switching events off and on."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor import ctx

from tests.conftest import MakeJob


@pytest.fixture(autouse=True)
def context(app: Flask) -> Any:
    with app.test_request_context():
        yield


def test_firing_is_a_silent_success_while_disabled(
    events_manager: EventsManager, make_job: MakeJob, ran: list[str]
) -> None:
    events_manager.register("x", make_job("job"))
    ctx.events.fire(Event("x"))
    ctx.events.disable()

    event = ctx.events.fire(Event("x"))
    ctx.events.fire(Event("never registered"))

    assert (event.name, ran) == ("x", ["job"])


def test_nothing_fired_meanwhile_runs_after_enabling(
    events_manager: EventsManager, make_job: MakeJob, ran: list[str]
) -> None:
    events_manager.register("x", make_job("job"))
    ctx.events.disable()
    ctx.events.fire(Event("x"))
    ctx.events.enable()

    assert ran == []
    ctx.events.fire(Event("x"))
    assert ran == ["job"]


def test_registrations_made_meanwhile_count(events_manager: EventsManager, make_job: MakeJob, ran: list[str]) -> None:
    with ctx.events.disable():
        events_manager.register("x", make_job("job"))

    ctx.events.fire(Event("x"))

    assert ran == ["job"]


def test_the_block_ends_as_it_was_before(events_manager: EventsManager, make_job: MakeJob, ran: list[str]) -> None:
    events_manager.register("x", make_job("job"))

    with ctx.events.disable():
        with ctx.events.enable():
            ctx.events.fire(Event("x"))
        ctx.events.fire(Event("x"))
    ctx.events.fire(Event("x"))

    assert ran == ["job", "job"]


def test_a_job_that_disables_events_does_not_stop_the_fire_under_way(
    events_manager: EventsManager, make_job: MakeJob, ran: list[str]
) -> None:
    events_manager.register("x", lambda event, ctx: ctx.events.disable(), make_job("second"))

    ctx.events.fire(Event("x"))
    ctx.events.fire(Event("x"))

    assert ran == ["second"]


def test_two_blocks_that_overlap_leave_events_on_when_both_have_ended(
    events_manager: EventsManager, make_job: MakeJob, ran: list[str]
) -> None:
    events_manager.register("x", make_job("job"))
    first, second = events_manager.disable(), events_manager.disable()

    first.close()
    ctx.events.fire(Event("x"))
    assert ran == []

    second.close()
    ctx.events.fire(Event("x"))
    assert ran == ["job"]
