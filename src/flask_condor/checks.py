"""The checks of an app's events, for CI: what its code, its registrations and its event log say against one another."""

from __future__ import annotations

import inspect
import os
import re
import sys
import typing as t
from collections.abc import Iterable
from collections.abc import Iterator
from difflib import get_close_matches
from types import UnionType

import msgspec

from .context import Context
from .event import Event
from .firings import Firings
from .job import name_of
from .own_code import OwnCode
from .places import is_own
from .places import shown_path

if t.TYPE_CHECKING:
    from flask import Flask

    from .job import Job
    from .manager import EventsManager
    from .own_code import Constant

CONVENTION = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)+")
TAKEN = (("event", Event), ("ctx", Context))
"""What a job takes."""
LOG = "event log"
FLEXIBLE = (t.Any, inspect.Parameter.empty)


class Finding(msgspec.Struct, frozen=True):
    """Something that is wrong, or looks so."""

    level: t.Literal["error", "warning"]
    where: str | None
    """The file and line, or the event log; None for nowhere in particular."""
    what: str
    advice: str


class Checks:
    """Checks one app; :meth:`run` returns all findings, errors first.

    :param code: the app's own code; read anew when not given.
    """

    def __init__(self, manager: EventsManager, code: OwnCode | None = None) -> None:
        self._manager = manager
        self._jobs = manager.registry.jobs
        self._code = code or code_of(manager)
        self.firings = Firings(self._code)

    def count_files(self) -> int:
        """Return how many files were read."""
        return len(self._code.modules)

    def run(self) -> list[Finding]:
        """Return what was found."""
        found = [
            *self._unreadable(),
            *self._fired_unregistered(),
            *self._stored_unknown(),
            *self._registered_unfired(),
            *self._doubled_constants(),
            *self._unconventional(),
            *self._misfitting(),
        ]
        return sorted(found, key=lambda finding: finding.level != "error")

    def _unreadable(self) -> Iterator[Finding]:
        for place, why in self._code.unreadable:
            yield Finding("warning", str(place), f"this file was not read: {why}", "Correct it, or move it elsewhere.")

    def _fired_unregistered(self) -> Iterator[Finding]:
        for name, places in sorted(self.firings.places.items()):
            if name in self._jobs:
                continue
            near = get_close_matches(name, self._jobs, n=1)
            guess = f"Did you mean {near[0]!r}? Else add" if near else "Add"
            advice = (
                f"{guess} register({name!r}, job) to register_events.py, or register({name!r}) alone to declare it."
            )
            for place in places:
                yield Finding("error", str(place), f"event {name!r} is fired, but not registered", advice)

    def _registered_unfired(self) -> Iterator[Finding]:
        by_clock = {schedule.name for schedule in self._manager.schedules} if "schedules" in vars(self._manager) else ()
        for name in sorted(self._jobs):
            if name not in self.firings.places and name not in by_clock:
                what = f"event {name!r} is registered, but no code fires it"
                hint = "Fire it or remove it, unless it is fired over HTTP, from a command or through configuration"
                yield Finding("warning", self._where_of(name), what, f"{hint}{self._doubt}.")

    @property
    def _doubt(self) -> str:
        untold = self.firings.untold
        return f", or at {', '.join(map(str, untold[:3]))}, where the name cannot be told" if untold else ""

    def _doubled_constants(self) -> Iterator[Finding]:
        named: dict[str, list[Constant]] = {}
        for constant in self._code.constants:
            if constant.value in self._jobs or constant.value in self.firings.places:
                named.setdefault(constant.value, []).append(constant)
        for value, (first, *more) in sorted(named.items()):
            for constant in more:
                what = f"{constant.name} is {value!r}, as {first.name} at {first.place}"
                yield Finding("warning", str(constant.place), what, "Keep one constant for one event.")

    def _unconventional(self) -> Iterator[Finding]:
        for name in sorted({*self._jobs, *self.firings.places}):
            if not CONVENTION.fullmatch(name):
                what = f"event name {name!r} is off the convention"
                advice = "Name what happened in at least two lower-case words, such as 'user.registered'."
                yield Finding("warning", self._where_of(name), what, advice)

    def _misfitting(self) -> Iterator[Finding]:
        jobs = {job.path: job for jobs in self._jobs.values() for job in jobs}
        for _, job in sorted(jobs.items()):
            for parameter, annotation, kind in misfits_of(job):
                what = f"job {name_of(job.function)} takes {parameter}: {shown_type(annotation)}"
                advice = f"Write {parameter}: {kind.__name__}, which is what it is given."
                yield Finding("warning", place_of_job(job), what, advice)

    def _stored_unknown(self) -> Iterator[Finding]:
        if not self._manager.queueing.is_needed:
            return
        from .errors import LogUnavailable
        from .log_state import peek  # imports SQLAlchemy, which an app that keeps nothing shall not pay
        from .log_state import unknown_jobs
        from .log_state import unread_payloads

        try:
            with peek(self._manager.log) as connection:
                unknown = unknown_jobs(connection, self._manager.registry) if connection is not None else []
                unread = unread_payloads(connection) if connection is not None else []
        except LogUnavailable as error:
            yield Finding("warning", LOG, f"stored deliveries were not looked at: {error}", "")
            return
        for name, job, count in unknown:
            what = f"{count} stored deliveries of event {name!r} wait for job {job}, which is not registered"
            advice = "Register it under that name again until they have run, or cancel them: `flask events cancel ID`."
            yield Finding("error", LOG, what, advice)
        for name, job, count in unread:
            what = f"{count} stored deliveries of event {name!r} wait for job {job} in a release that can read them"
            advice = "Start that, or make the type read both payloads, or cancel them: `flask events cancel ID`."
            yield Finding("error", LOG, what, advice)

    def _where_of(self, name: str) -> str | None:
        """Return the line to look at for an event name: its constant's, its registration's or that of a fire."""
        for constant in self._code.constants:
            if constant.value == name:
                return str(constant.place)
        if jobs := self._jobs.get(name):
            return shown_path(jobs[0].where)
        places = self.firings.places.get(name)
        return str(places[0]) if places else None


def code_of(manager: EventsManager) -> OwnCode:
    """Return the code of an app: what is below its root folder, and the files that its jobs come from."""
    root, base = roots_of(manager.app)
    jobs = [job for jobs in manager.registry.jobs.values() for job in jobs]
    paths = [file_of(job.function) for job in jobs] + [job.where.rpartition(":")[0] for job in jobs]
    return OwnCode(root, base, [path for path in paths if path and is_own(path) and os.path.exists(path)])


def roots_of(app: Flask) -> tuple[str, str]:
    """Return the app's folder, that of its topmost package when it is in one, and the folder it is imported from."""
    package = getattr(sys.modules.get(app.import_name), "__package__", None) or ""
    root = app.root_path
    for _ in package.split(".")[1:]:
        root = os.path.dirname(root)
    return root, os.path.dirname(root) if package else root


def file_of(function: t.Any) -> str | None:
    module = sys.modules.get(getattr(function, "__module__", "") or "")
    return getattr(module, "__file__", None)


def place_of_job(job: Job) -> str:
    """Return the file and line of the job itself, or else of its registration."""
    code = getattr(inspect.unwrap(job.function), "__code__", None)
    return shown_path(f"{code.co_filename}:{code.co_firstlineno}" if code else job.where)


def misfits_of(job: Job) -> Iterable[tuple[str, object, type]]:
    """Return which of a job's parameters are annotated with a type that they are never given."""
    try:
        parameters = list(inspect.signature(job.function, follow_wrapped=False, eval_str=True).parameters.values())
    except Exception:  # an annotation may be any expression, and need not exist when the code runs
        return
    for parameter, (_, kind) in zip(parameters, TAKEN, strict=False):
        if parameter.kind < inspect.Parameter.VAR_POSITIONAL and not may_be(parameter.annotation, kind):
            yield parameter.name, parameter.annotation, kind


def may_be(annotation: t.Any, kind: type) -> bool:
    """Tell whether a parameter with *annotation* can be given an object of *kind*; true when in doubt."""
    origin = t.get_origin(annotation)
    if origin in (t.Union, UnionType):
        return any(may_be(one, kind) for one in t.get_args(annotation))
    plain = origin or annotation
    if not isinstance(plain, type) or plain in FLEXIBLE or getattr(plain, "_is_protocol", False):
        return plain is not None
    return plain in kind.__mro__ or kind in plain.__mro__


def shown_type(annotation: object) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)
