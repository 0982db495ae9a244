"""The registry: which jobs an app has registered for which event names, and the signals that call them."""

from __future__ import annotations

import functools
import typing as t
from collections.abc import Callable
from collections.abc import Sequence

from .after_response import Later
from .errors import EventInvalid
from .errors import EventNameEmpty
from .errors import EventNotRegistered
from .errors import JobInvalid
from .errors import JobRegisteredTwice
from .errors import RunInvalid
from .job import Job
from .job import check_job
from .job import is_same
from .job import name_of
from .job import ready
from .signals import Call
from .signals import JobSignal
from .signals import Plan
from .signals import Signals

if t.TYPE_CHECKING:
    from flask import Flask

    from .event import Event
    from .job import JobFunction
    from .job import Run


class Registry:
    """The jobs of one app; safe to change while other threads fire.

    :param run_later: runs one job that was put off, with its event.
    """

    def __init__(self, app: Flask, run_later: Callable[[Event, Call], None]) -> None:
        self._app = app
        self._ready = functools.partial(ready, app=app)
        self._run_later = run_later
        self._jobs: dict[str, tuple[Job, ...]] = {}
        self.signals = Signals(self._ready)
        self.defers = False
        """Whether a job was ever registered to run after the response."""

    def add(self, name: str, functions: Sequence[JobFunction], run: Run, where: str) -> None:
        """Register all of *functions*, or none when one of them is refused."""
        check_name(name)
        check_run(run)
        for function in functions:
            check_job(function, self._app)
        with self.signals.lock:
            jobs = list(self.jobs_of(name))
            for function in functions:
                refuse_double(function, name, run, where, jobs)
                jobs.append(Job(function, run, where, self._receiver_of(function, run)))
            self._jobs[name] = tuple(jobs)
            self.defers = self.defers or run == "after_response"
            signal = self.signals.signal(name)
            signal.is_registered = True
            for job in jobs[len(jobs) - len(functions) :]:
                signal.connect(job.receiver, weak=False)

    def remove(self, name: str, functions: Sequence[JobFunction]) -> None:
        """Take *functions* out again, whatever their run word; the name stays registered."""
        signal = self.registered_signal(name)
        with self.signals.lock:
            jobs = self.jobs_of(name)
            for function in functions:
                if not any(is_same(job.function, function) for job in jobs):
                    raise JobInvalid(f"job {name_of(function)} is not registered for event {name!r}.")
            leaving = [job for job in jobs if any(is_same(job.function, function) for function in functions)]
            for job in leaving:
                signal.disconnect(job.receiver)
            self._jobs[name] = tuple(job for job in jobs if job not in leaving)

    def jobs_of(self, name: str) -> tuple[Job, ...]:
        """Return the jobs of *name* in the order they run, without those that were disconnected from the signal."""
        connected = list(self.signals.signal(name).receivers.values())
        return tuple(job for job in self._jobs.get(name, ()) if any(is_same(job.receiver, one) for one in connected))

    def registered_signal(self, name: str) -> JobSignal:
        """Return the signal of a registered name.

        :raises EventNotRegistered: with the nearest name that is.
        """
        if name not in self._jobs:
            raise EventNotRegistered(name, list(self._jobs))
        return self.signals.signal(name)

    def plan_for(self, event: Event, *, strict: bool) -> Plan:
        """Return what to call for *event*, in order; nothing while events are disabled.

        :param strict: whether a name that nobody registered is an error.
        """
        check_name(event.name)
        kept = self.signals.plans.get(event.name)
        if kept is not None:
            return kept
        if not self.signals.enabled:
            return ()
        if strict:
            return self.registered_signal(event.name).plan_for(event)
        return self.signals.signal(event.name).plan_for(event) if event.name in self.signals else ()

    def _receiver_of(self, function: JobFunction, run: Run) -> Callable[..., object]:
        return function if run == "now" else Later(self._ready(function), self._run_later)


def check_name(name: object) -> None:
    if not isinstance(name, str):
        raise EventInvalid(f"an event's name is a str, got {name!r}. Use a constant of events/event_names.py.")
    if not name:
        raise EventNameEmpty


def check_run(run: str) -> None:
    if run in ("after_commit", "queued"):
        raise RunInvalid(
            f"run={run!r} needs the event log, which this version of Flask-Condor does not have yet."
            " Use run='now' or run='after_response' until it does."
        )
    if run not in ("now", "after_response"):
        raise RunInvalid(f"run={run!r} is unknown: write 'now' (the default) or 'after_response'.")


def refuse_double(function: JobFunction, name: str, run: Run, where: str, jobs: Sequence[Job]) -> None:
    for job in jobs:
        if is_same(job.function, function) and job.run == run:
            raise JobRegisteredTwice(name_of(function), name, job.where, where)
