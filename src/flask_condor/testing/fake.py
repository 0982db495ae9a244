"""The fake: records the events of an app instead of running their jobs, and runs those on command."""

from __future__ import annotations

import typing as t
from contextlib import ExitStack

from ..errors import shorten_repr
from ..event import Event
from ..event import snapshot
from ..job import is_same
from ..job import name_of
from .apart import kept_apart
from .apart import manager_of
from .clock import Clock
from .clock import returning
from .held import Shelf
from .worker import Run
from .worker import run_queue

if t.TYPE_CHECKING:
    from flask import Flask

    from ..job import JobFunction
    from ..schedule import Schedule
    from ..signals import Plan

SHOWN = 50
"""Fired events that a failure lists."""


def anything(payload: object) -> bool:
    """Say of every payload that it is the one asked for."""
    return True


class FakeEvents(Clock):
    """Records what an app fires, and runs none of it until it is told to: ``with FakeEvents(app) as events:``.

    However an event is fired (fire, emit, their async twins, by a job, a thread or a command), it is checked and
    refused as ever, recorded, and its jobs and plain receivers are held. Blinker's own ``signal.send`` is not a fire:
    it is neither recorded nor held. Queued jobs go by way of JSON to a queue that ends with the ``with`` block; the
    app's own event log is left alone. What is held at the end never runs.
    """

    def __init__(self, app: Flask) -> None:
        super().__init__(manager_of(app))
        self._registry = self._manager.registry
        self._find_plan = self._registry.plan_for
        self._only: frozenset[str] | None = None
        self._fired: list[Event[t.Any]] = []
        self._shelf = Shelf(self._manager)
        self._leaving = ExitStack()

    def __enter__(self) -> t.Self:
        with ExitStack() as entering:
            entering.enter_context(returning())
            self._find_plan = self._registry.plan_for
            entering.callback(setattr, self._registry, "plan_for", self._find_plan)
            self._registry.plan_for = self._plan_for  # type: ignore[method-assign]  # stands in for it meanwhile
            entering.enter_context(kept_apart(self._manager, self._note))
            self._leaving = entering.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._leaving.close()

    def only(self, *names: str) -> t.Self:
        """Hold the jobs of these events alone, from now on: those of all others run as usual. All are recorded.

        :raises EventNotRegistered: for a name that is not.
        """
        for name in names:
            self._registry.registered_signal(name)
        self._only = frozenset(names)
        return self

    @property
    def fired(self) -> list[Event[t.Any]]:
        """What was fired so far, in order, each with its payload as it was then."""
        return list(self._fired)

    def assert_fired(self, name: str, *, payload: object = anything, times: int | None = None) -> list[Event[t.Any]]:
        """Make sure that event *name* was fired, and return each.

        :param payload: what it must be equal to; or a function that tells of a payload whether it is the one.
        :param times: how often exactly; at least once when not given.
        :raises AssertionError: with a list of what was fired. :raises EventNotRegistered: for an unknown name.
        """
        __tracebackhide__ = True
        found = self._find(name, payload)
        if len(found) != times if times is not None else not found:
            often = "" if times is None and not found else f" {len(found)} times, not {times}"
            self._fail(f"event {name} was {'fired' if often else 'not fired'}{often}{described(payload)}")
        return found

    def assert_not_fired(self, name: str, *, payload: object = anything) -> None:
        """Make sure that event *name* was not fired, or not with that *payload*; as :meth:`assert_fired`."""
        __tracebackhide__ = True
        found = self._find(name, payload)
        if found:
            self._fail(f"event {name} was fired{described(payload)}")

    def assert_nothing_fired(self) -> None:
        """Make sure that nothing was fired at all."""
        __tracebackhide__ = True
        if self._fired:
            self._fail("something was fired")

    def assert_listening(self, name: str, job: JobFunction) -> None:
        """Make sure that *job* is registered for event *name*.

        :raises AssertionError: with a list of the jobs that are. :raises EventNotRegistered: for an unknown name.
        """
        __tracebackhide__ = True
        self._registry.registered_signal(name)
        jobs = self._registry.jobs_of(name)
        if not any(is_same(one.function, job) for one in jobs):
            there = ", ".join(f"{one.path} ({one.run})" for one in jobs) or "none"
            raise AssertionError(f"job {name_of(job)} is not registered for event {name}; its jobs are: {there}")

    def run_now(self, name: str | None = None) -> None:
        """Run the ``now`` jobs and plain receivers that are held, of event *name* or of all, in the order fired.

        What they fire runs at once too, depth first, if it is of that name.

        :raises JobsFailed: when jobs of an event failed, after all of that event; those of later events stay held.
        """
        self._shelf.run("now", name)

    def run_after_response(self, name: str | None = None) -> None:
        """Run the ``after_response`` jobs whose response was closed, and no 5xx; as :meth:`run_now`."""
        self._shelf.run("after_response", name)

    def run_after_commit(self, name: str | None = None) -> None:
        """Run the ``after_commit`` jobs whose transaction was committed; as :meth:`run_now`."""
        self._shelf.run("after_commit", name)

    def run_queue(self, *, check: bool = True) -> list[Run]:
        """Run the queued jobs that are due, by a real worker; as :meth:`EventsWorker.run`."""
        return run_queue(self._manager, check=check)

    def _plan_for(self, event: Event[t.Any], *, strict: bool) -> Plan:
        plan = self._find_plan(event, strict=strict)
        is_faked = self._only is None or event.name in self._only
        return self._shelf.plan(event, plan) if is_faked else plan

    def _note(self, event: Event[t.Any]) -> None:
        self._fired.append(snapshot(event))

    def _ticked(self, schedule: Schedule, tick: float) -> None:
        payload = self._registry.typed_names.from_json(schedule.name, schedule.payload)
        self._fired.append(Event(schedule.name, payload, schedule.id_of(tick, self._manager.log.bus), tick))

    def _find(self, name: str, payload: object) -> list[Event[t.Any]]:
        named = [event for event in self._fired if event.name == name]
        if not named:
            self._registry.registered_signal(name)
        if callable(payload):
            return [event for event in named if payload(event.payload)]
        return [event for event in named if event.payload == payload]

    def _fail(self, what: str) -> t.NoReturn:
        __tracebackhide__ = True
        lines = [f"  {number}. {listed(event)}" for number, event in enumerate(self._fired[:SHOWN], 1)]
        if len(self._fired) > SHOWN:
            lines.append(f"  and {len(self._fired) - SHOWN} more")
        raise AssertionError("\n".join([f"{what}. Fired were:", *lines] if lines else [f"{what}. Nothing was fired."]))


def listed(event: Event[t.Any]) -> str:
    by = f"  (by job {event.cause.job} of {event.cause.event_name})" if event.cause else ""
    return f"{event.name} {shorten_repr(event.payload, 300)}{by}"


def described(payload: object) -> str:
    if payload is anything:
        return ""
    return f" with a payload for which {name_of(payload)} holds" if callable(payload) else f" with payload {payload!r}"
