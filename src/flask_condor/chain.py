"""The chain: which event and job are running in an app context, and what may still follow from them."""

from __future__ import annotations

import sys
import typing as t
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import AbstractContextManager
from contextlib import contextmanager
from functools import cache
from logging import LogRecord
from types import CodeType
from types import FrameType
from types import FunctionType

import click

from .config import MAX_DESCENDANTS
from .config import Config
from .errors import EventLoop
from .errors import JobsFailed
from .errors import shorten
from .event import Cause
from .event import Event
from .event import Family
from .event import Origin
from .event import root_origin
from .job import AsyncCall
from .job import Step
from .job import awaited_step
from .job import name_of
from .job import path_of
from .line import tell
from .logged_lines import tell_of_records
from .signals import Call
from .signals import Plan

if t.TYPE_CHECKING:
    from .context import Context
    from .errors import LogUnavailable
    from .recording import Recording

Failure = tuple[str, Exception]

OUTSIDE: Event[t.Any] = Event("outside a request")
"""Stands for the running event where ``fire`` has to look where it is, so that its short way is not taken."""
AWAITED: Event[t.Any] = Event("in an event loop")
"""Stands for the running event while async jobs are awaited: which one is then a matter of the task."""

RUNS_JOBS: set[CodeType] = set()
"""The functions whose locals ``event`` and ``job`` are what they run."""
F = t.TypeVar("F", bound=Callable[..., t.Any])


def runs_jobs(function: F) -> F:
    """Mark a function that keeps the event and the job that it runs in its locals ``event`` and ``job``.

    One that records keeps what it tells of them in ``recording``, and in ``failed`` the error that a job ended with.
    """
    RUNS_JOBS.add(t.cast(FunctionType, function).__code__)
    return function


class Chain:
    """The events that are being fired in one app context.

    A plain object on the app context: a ContextVar set and reset for each fire would cost 0.7 of what calling three
    jobs costs, and writing down each job 0.1 (benchmarks/dispatch.py). So a nested fire, which is rarer, looks for its
    cause on the stack.
    """

    __slots__ = ("_awaits", "_beneath", "config", "ctx", "event", "plans", "replaced")

    def __init__(
        self, ctx: Context, plans: dict[str, Plan], config: Config, is_nested: bool, replaced: Chain | None
    ) -> None:
        self.ctx = ctx
        self.plans = plans
        self.config = config
        self.event: Event[t.Any] | None = OUTSIDE if ctx.request is None or is_nested else None
        """The event whose jobs run now; None in a request where none does."""
        self.replaced = replaced
        """The chain that the app context had before a request began in it, and has again when that ends."""
        self._awaits = 0
        self._beneath: Event[t.Any] | None = None

    @runs_jobs
    def run(
        self, event: Event[t.Any], plan: Plan, recording: Recording | None = None, *, traceback: bool = False
    ) -> list[Failure]:
        """Call each of *plan* with *event*, in order, and return the failures; only ``BaseException`` passes.

        :param recording: is told how each ended.
        :param traceback: whether the log shows failures in full, as nobody will raise them.
        """
        before, self.event = self.event, event
        failures = []
        try:
            for job in plan:
                result = failed = None
                try:
                    result = job(event, self.ctx)
                except Exception as error:  # the job border: errors become values here
                    failed = error
                    failures.append(self.failure(event, job, error, traceback=traceback))
                if recording is not None:
                    recording.note(result, failed)
        except BaseException as error:
            if recording is not None:
                recording.stop(error)
            raise
        finally:
            self.event = before
        return failures

    @runs_jobs
    def call(self, event: Event[t.Any], job: Call) -> t.Any:
        """Call one *job* with *event*, and return or raise what it does."""
        before, self.event = self.event, event
        try:
            return job(event, self.ctx)
        finally:
            self.event = before

    @runs_jobs
    async def run_async(self, event: Event[t.Any], plan: Plan, recording: Recording | None = None) -> list[Failure]:
        """The same, awaiting the async jobs one after the other; other tasks may fire meanwhile."""
        failures = []
        with self._awaiting(recording):
            for job in plan:
                if not isinstance(job, AsyncCall):
                    failures += self.run(event, (job,), recording)
                    continue
                step = awaited_step.set((event, job))
                result = failed = None
                try:
                    result = await job.function(event, ctx=self.ctx)
                except Exception as error:  # the job border, as in run
                    failed = error
                    failures.append(self.failure(event, job, error))
                finally:
                    awaited_step.reset(step)
                if recording is not None:
                    recording.note(result, failed)
        return failures

    @contextmanager
    def _awaiting(self, recording: Recording | None) -> Iterator[None]:
        if self._awaits == 0:
            self._beneath, self.event = self.event, AWAITED
        self._awaits += 1
        try:
            yield
        except BaseException as error:
            if recording is not None:
                recording.stop(error)
            raise
        finally:
            self._awaits -= 1
            if self._awaits == 0:
                self.event = self._beneath

    def settle(
        self, event: Event[t.Any], plan: Plan, failures: list[Failure], refusal: LogUnavailable | None = None
    ) -> None:
        """Raise what a fire that has run all of *plan* ends with, if anything.

        :param refusal: why its queued jobs were not accepted.
        """
        if refusal is not None:
            raise refusal
        if not failures or self.config.job_errors == "log":
            return
        for _, error in failures:
            if isinstance(error, EventLoop):
                raise error
        ran = [name_of(job) for job in plan]
        for job, _ in failures:
            ran.remove(job)
        raise JobsFailed(event.name, failures, without_put_off(ran, plan))

    def failure(self, event: Event[t.Any], job: Call, error: Exception, *, traceback: bool = False) -> Failure:
        """Note on *error* which job it comes from, write it to the app's log, and return both."""
        name = name_of(job)
        traceback = traceback or self.config.job_errors == "log"
        if isinstance(error, EventLoop) and not traceback:
            return name, error
        error.add_note(f"in job {name} of event {event.name!r}")
        tell(
            self.ctx.logger,
            "job_failed",
            "job %s of event %s failed: %s: %s; it is not run again",
            name,
            event.name,
            type(error).__name__,
            shorten(error),
            error=error if traceback else None,
            event_id=event.id,
            event_name=event.name,
            job=path_of(getattr(job, "receiver", job)),
        )
        return name, error

    def origin_of(self, name: str) -> Origin | None:
        """Return where an event of *name* that is fired now comes from; None says: from the handler of a request.

        :raises EventLoop: when it would make the chain too long, or its root's family too large.
        """
        step = None if self.event is None else step_here()
        if step is not None:
            return self._descend(*step, name)
        if self.ctx.request is not None:
            return None
        return Origin("cli" if click.get_current_context(silent=True) else "app", None, (), Family())

    def _descend(self, parent: Event[t.Any], job: Call, name: str) -> Origin:
        above = root_origin(parent)
        path = (*above.path, parent.name)
        if len(path) >= self.config.max_depth:
            raise EventLoop(f"event chain is longer than {self.config.max_depth} (CONDOR_MAX_DEPTH)", (*path, name))
        if above.family.descendants >= MAX_DESCENDANTS:
            raise EventLoop(f"one event {path[0]!r} led to more than {MAX_DESCENDANTS:,} others", (*path, name))
        above.family.descendants += 1
        above.family.root_id = above.family.root_id or parent.id
        return Origin("job", Cause(parent.id, parent.name, name_of(job)), path, above.family)


class Tracing(t.Protocol):
    """Tells another program of each fire, and by its chains of each run of a job."""

    @property
    def chain(self) -> Callable[..., Chain]: ...

    def firing(self, event: object, inside: AbstractContextManager[object]) -> AbstractContextManager[object]: ...


def step_here() -> Step | None:
    """Return the event and the job that are being run here: on this thread's stack, or awaited by the current task."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code in RUNS_JOBS and "job" in frame.f_locals:
            return frame.f_locals["event"], frame.f_locals["job"]
        frame = frame.f_back
    return awaited_step.get()


@cache
def watch_runs() -> None:
    """Let what jobs log be kept, from now on and in this process, with the recordings of their runs."""
    tell_of_records(add_to_recording)


def add_to_recording(record: LogRecord) -> None:
    """Keep *record* with the run of the job that is running on this thread's stack, if that is recorded."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code not in RUNS_JOBS:
        frame = frame.f_back
    here = {} if frame is None else frame.f_locals
    recording: Recording | None = here.get("recording")
    if recording is not None and "job" in here and here.get("failed") is None:
        recording.hear(record)


def without_put_off(names: list[str], plan: Plan) -> list[str]:
    """Return *names* without those of the jobs in *plan* that wait for the response or the commit."""
    left = list(names)
    for job in plan:
        if getattr(job, "defers", False) and name_of(job) in left:
            left.remove(name_of(job))
    return left
