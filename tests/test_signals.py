"""Blinker underneath: plain receivers, sending by hand, muting, and changes from other threads."""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections.abc import Callable
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import blinker
import pytest
from flask import Flask
from flask_condor import CondorError
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor import JobsFailed
from flask_condor import ctx

from tests.conftest import MakeJob

NAME = "signed-up"


@pytest.fixture(autouse=True)
def context(app: Flask) -> Iterator[None]:
    with app.test_request_context():
        yield


def test_a_name_has_one_named_signal(events_manager: EventsManager) -> None:
    signal = ctx.events.signal(NAME)

    assert isinstance(signal, blinker.NamedSignal)
    assert signal is events_manager.signal(NAME)
    assert signal.name == NAME


def test_a_plain_receiver_is_called_with_the_event_as_sender_and_ctx(events_manager: EventsManager) -> None:
    events_manager.register(NAME)
    calls: list[tuple[Any, dict[str, Any]]] = []

    def receiver(sender: Any, **kwargs: Any) -> None:
        calls.append((sender, kwargs))

    events_manager.signal(NAME).connect(receiver)
    event = ctx.events.fire(Event(NAME))

    assert calls[0][0] is event
    assert list(calls[0][1]) == ["ctx"]


def test_sending_by_hand_calls_the_jobs_in_order(
    events_manager: EventsManager, make_job: MakeJob, ran: list[str]
) -> None:
    jobs = [make_job(str(number)) for number in range(20)]
    events_manager.register(NAME, *jobs)

    results = events_manager.signal(NAME).send(Event(NAME), ctx=ctx)

    assert ran == [str(number) for number in range(20)]
    assert [receiver for receiver, _ in results] == jobs


def test_sending_by_hand_stops_at_the_first_error(
    events_manager: EventsManager, make_job: MakeJob, ran: list[str], failing_job: Any
) -> None:
    events_manager.register(NAME, failing_job, make_job("second"))

    with pytest.raises(ValueError, match="no such address"):
        events_manager.signal(NAME).send(Event(NAME), ctx=ctx)

    assert ran == []


def test_a_plain_receiver_does_not_make_a_name_registered(
    events_manager: EventsManager, make_job: MakeJob, ran: list[str]
) -> None:
    receiver = make_job("receiver")
    events_manager.signal(NAME).connect(receiver)

    with pytest.raises(CondorError, match=f"event {NAME} is not registered"):
        ctx.events.fire(Event(NAME))
    ctx.events.emit(NAME)
    with pytest.raises(CondorError, match=f"event {NAME} is not registered"):
        ctx.events.fire(Event(NAME))

    assert ran == ["receiver"]


def test_a_failing_plain_receiver_counts_among_the_failures(
    events_manager: EventsManager, make_job: MakeJob, failing_job: Any
) -> None:
    events_manager.register(NAME, make_job("job"))
    events_manager.signal(NAME).connect(failing_job)

    with pytest.raises(JobsFailed, match="1 of 2 jobs of event 'signed-up' failed: failing"):
        ctx.events.fire(Event(NAME))


def test_plain_receivers_take_effect_at_the_next_fire_and_leave_at_the_one_after(
    events_manager: EventsManager, make_job: MakeJob, ran: list[str]
) -> None:
    events_manager.register(NAME, make_job("job"))
    receiver = make_job("receiver")
    signal = events_manager.signal(NAME)

    ctx.events.fire(Event(NAME))
    signal.connect(receiver)
    ctx.events.fire(Event(NAME))
    signal.disconnect(receiver)
    ctx.events.fire(Event(NAME))

    assert ran == ["job", "job", "receiver", "job"]


def test_a_receiver_connected_for_one_event_hears_only_that_one(
    events_manager: EventsManager, make_job: MakeJob, ran: list[str]
) -> None:
    events_manager.register(NAME, make_job("job"))
    mine, other = Event(NAME), Event(NAME)
    receiver = make_job("mine")
    events_manager.signal(NAME).connect(receiver, sender=mine)

    ctx.events.fire(other)
    ctx.events.fire(mine)

    assert ran == ["job", "job", "mine"]


def test_a_receiver_connected_weakly_goes_with_its_last_reference(
    events_manager: EventsManager, make_job: MakeJob, ran: list[str]
) -> None:
    events_manager.register(NAME)
    receiver = make_job("receiver")
    events_manager.signal(NAME).connect(receiver)
    ctx.events.fire(Event(NAME))

    del receiver
    gc.collect()
    ctx.events.fire(Event(NAME))

    assert ran == ["receiver"]


def test_connected_to_connects_for_the_length_of_a_block(
    events_manager: EventsManager, make_job: MakeJob, ran: list[str]
) -> None:
    events_manager.register(NAME)

    with events_manager.signal(NAME).connected_to(make_job("guest")):
        ctx.events.fire(Event(NAME))
    ctx.events.fire(Event(NAME))

    assert ran == ["guest"]


def test_receiver_connected_tells_of_registrations(events_manager: EventsManager, make_job: MakeJob) -> None:
    connected: list[Any] = []

    def note(signal: Any, receiver: Any, **_: Any) -> None:
        connected.append(receiver)

    events_manager.signal(NAME).receiver_connected.connect(note)
    job = make_job("job")
    events_manager.register(NAME, job)

    assert connected == [job]


def test_a_job_disconnected_from_its_signal_may_be_registered_again(
    events_manager: EventsManager, make_job: MakeJob, ran: list[str]
) -> None:
    job = make_job("job")
    events_manager.register(NAME, job)
    events_manager.signal(NAME).disconnect(job)
    ctx.events.fire(Event(NAME))
    events_manager.register(NAME, job)
    ctx.events.fire(Event(NAME))

    assert ran == ["job"]


def test_muting_silences_the_signal_for_its_own_context_only(
    app: Flask, events_manager: EventsManager, make_job: MakeJob, ran: list[str]
) -> None:
    events_manager.register(NAME, make_job("job"))
    ctx.events.fire(Event(NAME))

    with events_manager.signal(NAME).muted():
        assert events_manager.signal(NAME).is_muted
        ctx.events.fire(Event(NAME))
        assert ran == ["job"]
        in_thread(lambda: events_manager.fire(Event(NAME)))
        assert ran == ["job", "job"]
    ctx.events.fire(Event(NAME))

    assert ran == ["job"] * 3
    assert not events_manager.signal(NAME).is_muted


def test_a_signal_may_be_muted_by_hand(events_manager: EventsManager, make_job: MakeJob, ran: list[str]) -> None:
    events_manager.register(NAME, make_job("job"))
    events_manager.signal(NAME).is_muted = True
    ctx.events.fire(Event(NAME))
    events_manager.signal(NAME).is_muted = False
    ctx.events.fire(Event(NAME))

    assert ran == ["job"]


def test_changes_made_by_another_thread_take_effect_at_the_next_fire(
    events_manager: EventsManager, make_job: MakeJob, ran: list[str]
) -> None:
    events_manager.register(NAME, make_job("job"))
    ctx.events.fire(Event(NAME))

    in_thread(lambda: events_manager.register(NAME, make_job("another")))
    ctx.events.fire(Event(NAME))

    assert ran == ["job", "job", "another"]


def in_thread(work: Callable[[], Any]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


@pytest.mark.parametrize("seconds", [3, pytest.param(30, marks=pytest.mark.slow)])
def test_registering_and_muting_while_others_fire_never_raises_and_misses_no_job(
    app: Flask, events_manager: EventsManager, seconds: int
) -> None:
    errors: list[BaseException] = []
    missed = fired = 0
    until = time.monotonic() + seconds
    heard = threading.local()

    def permanent(event: Event[Any], ctx: Any) -> None:
        heard.count += 1

    def repeat(work: Callable[[], None]) -> None:
        try:
            while time.monotonic() < until:
                work()
        except BaseException as error:
            errors.append(error)

    def fire() -> None:
        nonlocal missed, fired
        with app.test_request_context():
            for _ in range(50):
                heard.count = 0
                ctx.events.fire(Event(NAME))
                fired += 1
                missed += heard.count != 2

    def change() -> None:
        passing = [lambda event, ctx: None for _ in range(3)]
        events_manager.register(NAME, *passing)
        with events_manager.signal(NAME).muted():
            pass
        weak = lambda event, ctx: None  # noqa: E731  # a def would be one object for all rounds
        events_manager.signal(NAME).connect(weak)
        del weak
        events_manager.unregister(NAME, *passing)

    events_manager.register(NAME, permanent)
    events_manager.register(NAME, lambda event, ctx: permanent(event, ctx))
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=repeat, args=(work,)) for work in [fire] * 8 + [change] * 4]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)

    assert (errors, missed) == ([], 0)
    assert fired > 1_000


def test_receivers_that_the_garbage_collector_takes_at_any_moment_break_no_fire(events_manager: EventsManager) -> None:
    class SelfReferring:
        def __init__(self) -> None:
            self.me = self

        def __call__(self, event: Event, ctx: Any) -> None: ...

    events_manager.register(NAME)

    for _ in range(1_000):
        for _ in range(10):
            events_manager.signal(NAME).connect(SelfReferring())
        ctx.events.fire(Event(NAME))


def test_equal_receivers_are_two_and_each_runs_once(events_manager: EventsManager) -> None:
    runs: list[int] = []

    @dataclass(eq=True)
    class Receiver:
        name: str = "equal"

        def __call__(self, event: Event, ctx: Any) -> None:
            runs.append(id(self))
            raise ValueError

    first, second = Receiver(), Receiver()
    events_manager.register(NAME, first, second)

    for _ in range(2):
        with pytest.raises(JobsFailed, match="2 of 2"):
            ctx.events.fire(Event(NAME))

    assert runs == [id(first), id(second)] * 2
