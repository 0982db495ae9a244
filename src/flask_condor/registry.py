"""The registry: which jobs an app has registered for which event names, and the signals that call them."""

from __future__ import annotations

import functools
import typing as t
from collections.abc import Callable
from collections.abc import Sequence
from functools import cached_property

import msgspec

from .after_response import Later
from .errors import EventInvalid
from .errors import EventNameEmpty
from .errors import EventNotRegistered
from .errors import JobInvalid
from .errors import JobNotFindable
from .errors import JobRegisteredTwice
from .errors import RunInvalid
from .errors import shorten_repr
from .event_name import EventName
from .job import Job
from .job import QueuedOnly
from .job import Rules
from .job import Run
from .job import check_job
from .job import is_same
from .job import name_of
from .job import path_of
from .job import ready
from .queued import Queued
from .queued import is_queued
from .signals import Call
from .signals import JobSignal
from .signals import Plan
from .signals import Signals
from .typed_names import TypedNames

if t.TYPE_CHECKING:
    from flask import Flask
    from sqlalchemy.orm import scoped_session

    from .event import Event
    from .job import JobFunction
    from .queued import Enqueue
    from .recording import Entry
    from .rows import Deliverable
    from .transactions import Sessions

    class RecordedRunner(t.Protocol):
        def __call__(self, event: Event[t.Any], job: Call, entry: Entry) -> None: ...


LONGEST = 255
"""Characters of an event's name or id, and of a queued job's path."""


class SortedPlan(msgspec.Struct, frozen=True):
    """A plan, by where its calls run."""

    plan: Plan
    queued: tuple[Queued, ...]
    """Those that a worker runs."""
    here: Plan
    """The others."""
    entries: tuple[Entry | None, ...]
    """Under what each of *here* is recorded; None for what is no job, or puts one off."""


class Registry:
    """The jobs of one app; safe to change while other threads fire.

    :param run_later: runs one job that was put off, with its event.
    :param enqueue: queues one job of an event, when Blinker's own ``send`` calls it.
    :param session: the scoped session whose transactions ``after_commit`` jobs wait for.
    """

    def __init__(
        self, app: Flask, run_later: RecordedRunner, enqueue: Enqueue, session: scoped_session[t.Any] | None
    ) -> None:
        self._app = app
        self._enqueue = enqueue
        self._ready = functools.partial(ready, app=app)
        self._run_later = run_later
        self._jobs: dict[str, tuple[Job, ...]] = {}
        self._sorted: dict[str, SortedPlan] = {}
        self.signals = Signals(self._ready)
        self.typed_names = TypedNames()
        self.defers = False
        """Whether a job was ever registered to run after the response."""
        self._session = session
        if session is not None:
            self.sessions  # noqa: B018  # looked at for its check, at start rather than in a request

    @cached_property
    def sessions(self) -> Sessions:
        """The sessions whose transactions ``after_commit`` jobs wait for."""
        from .transactions import Sessions  # imports SQLAlchemy, which an app without such jobs shall not pay

        return Sessions(self._app, self._session)

    def add(self, name: str, functions: Sequence[JobFunction], run: Run, rules: Rules, where: str) -> None:
        """Register all of *functions*, or none when one of them is refused."""
        check_name(name)
        check_run(run)
        for function in functions:
            check_job(function, self._app)
            check_run_of(function, run)
        with self.signals.lock:
            jobs = list(self.jobs_of(name))
            for function in functions:
                refuse_double(function, name, run, where, jobs)
                jobs.append(Job(function, run, rules, where, self._receiver_of(function, run, rules)))
            refuse_namesakes(name, [job for job in jobs if job.run == "queued"])
            if isinstance(name, EventName):
                kind, name = self.typed_names.declare(name, where), str.__str__(name)
                self.signals.check_first(name, kind.check)
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

    @property
    def jobs(self) -> dict[str, tuple[Job, ...]]:
        """All jobs by event name."""
        return {name: self.jobs_of(name) for name in list(self._jobs)}

    def jobs_of(self, name: str) -> tuple[Job, ...]:
        """Return the jobs of *name* in the order they run, without those that were disconnected from the signal."""
        if name not in self._jobs:
            return ()
        connected = list(self.signals.signal(name).receivers.values())
        return tuple(job for job in self._jobs[name] if any(is_same(job.receiver, one) for one in connected))

    def is_silent(self, name: str) -> bool:
        """Whether a fire of *name* does nothing here: while it is muted, or events are disabled."""
        return not self.signals.enabled or (name in self.signals and self.signals.signal(name).is_muted)

    def job_named(self, name: str, path: str) -> Job | None:
        """Return the job of event *name* that is called *path* ("module:qualname") in a delivery."""
        named = [job for job in self.jobs_of(name) if job.path == path]
        return next((job for job in named if job.run == "queued"), named[0] if named else None)

    def jobs_once(self, name: str) -> list[Job]:
        """Return the jobs of *name* for a worker to run all of them: each once, however many run words it has."""
        jobs: list[Job] = []
        for job in self.jobs_of(name):
            if not any(is_same(job.function, other.function) for other in jobs):
                jobs.append(self.job_named(name, job.path) or job)
        return jobs

    def knows(self, name: str) -> bool:
        """Tell whether *name* is registered, with or without a job."""
        return name in self._jobs

    def sort(self, name: str, plan: Plan) -> SortedPlan:
        """Return a *plan* of event *name*, sorted; kept for the next fire of the same plan."""
        kept = self._sorted.get(name)
        if kept is not None and kept.plan is plan:
            return kept
        queued = tuple(t.cast("Queued", call) for call in plan if is_queued(call))
        here = tuple(call for call in plan if not is_queued(call))
        paths = {id(job.receiver): job.path for job in self._jobs.get(name, ()) if job.run == "now"}
        found = [paths.get(id(getattr(call, "receiver", call))) for call in here]
        entries: tuple[Entry | None, ...] = tuple(None if path is None else (path, "now") for path in found)
        self._sorted[name] = kept = SortedPlan(plan, queued, here, entries)
        return kept

    def registered_signal(self, name: str) -> JobSignal:
        """Return the signal of a registered name.

        :raises EventNotRegistered: with the nearest name that is.
        """
        if name not in self._jobs:
            raise EventNotRegistered(name, list(self._jobs))
        return self.signals.signal(name)

    def plan_for(self, event: Event, *, strict: bool) -> Plan:
        """Return what to call for *event*, in order, with its payload checked; nothing while events are disabled.

        :param strict: whether a name that nobody registered is an error.
        """
        plan = self.signals.other_plans.get(event.name) if isinstance(event.name, str) else None
        if plan is None:
            check_name(event.name)
            if not self.signals.enabled:
                return ()
            plan = self.signals.plans.get(event.name)
        if plan is None and strict:
            plan = self.registered_signal(event.name).plan_for(event)
        elif plan is None:
            plan = self.signals.signal(event.name).plan_for(event) if event.name in self.signals else ()
        self.typed_names.check(event)
        return plan

    def _receiver_of(self, function: JobFunction, run: Run, rules: Rules) -> Callable[..., object]:
        if run == "now":
            return function
        if run == "queued":
            return Queued(function, rules, self._enqueue)
        job, run_later = self._ready(function), functools.partial(self._run_later, entry=(path_of(function), run))
        return Later(job, run_later) if run == "after_response" else self.sessions.receiver(job, run_later)


def check_name(name: object) -> None:
    if not isinstance(name, str):
        raise EventInvalid(f"an event's name is a str, got {name!r}. Use a constant of events/event_names.py.")
    if not name:
        raise EventNameEmpty
    refuse_unstorable(name, "name")


def refuse_unstorable(text: object, what: str) -> None:
    """Make sure that an event's name or id is one that every database can hold and index.

    :raises EventInvalid: when it is no text, longer than 255 characters, or has NUL or half a character in it.
    """
    if not isinstance(text, str):
        raise EventInvalid(f"an event's {what} is a str, got {shorten_repr(text)}.")
    if len(text) > LONGEST:
        raise EventInvalid(
            f"an event's {what} has at most {LONGEST} characters, this one {len(text):,}: {text[:40]!r}..."
        )
    if "\0" in text or not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise EventInvalid(f"an event's {what} is {text!r}: it may not hold NUL or half a character (a surrogate).")


def check_run(run: str) -> None:
    if run not in t.get_args(Run):
        raise RunInvalid(f"run={run!r} is unknown: write {' or '.join(map(repr, t.get_args(Run)))}.")


def check_run_of(function: object, run: Run) -> None:
    if isinstance(function, QueuedOnly) and run != "queued":
        raise RunInvalid(f"{function} runs in a worker only, where it is tried again: write run='queued', not {run!r}.")


def refuse_double(function: JobFunction, name: str, run: Run, where: str, jobs: Sequence[Job]) -> None:
    for job in jobs:
        if is_same(job.function, function) and job.run == run:
            raise JobRegisteredTwice(name_of(function), name, job.where, where)


def refuse_namesakes(name: str, jobs: Sequence[Deliverable]) -> None:
    """Make sure that a worker can tell the queued jobs of event *name* apart.

    :raises JobNotFindable: when two have one path, as lambdas and closures of one function do, or one is too long.
    """
    paths = [job.path for job in jobs]
    for path in paths:
        if len(path) > LONGEST:
            raise JobNotFindable(
                f"a job of event {name!r} is called {path[:80]}…, {len(path):,} characters long, and the event log"
                f" stores at most {LONGEST}. Define it in a module, and by a name, that are shorter."
            )
        if paths.count(path) > 1:
            raise JobNotFindable(
                f"two jobs of event {name!r} are both called {path}, so a worker cannot tell which one to run."
                " Define each queued job as a function of its own in a module."
            )
