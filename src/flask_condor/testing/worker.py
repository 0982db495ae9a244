"""The worker of a test: runs queued jobs for real, when it is told to, by a clock that can be moved."""

from __future__ import annotations

import math
import typing as t
from collections.abc import Sequence
from contextlib import ExitStack

import msgspec

from ..errors import CondorError
from .apart import kept_apart
from .apart import manager_of
from .clock import Clock
from .clock import returning

if t.TYPE_CHECKING:
    from flask import Flask

    from ..deliveries import Outcome
    from ..event import Event
    from ..log import Log
    from ..manager import EventsManager


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What one run of a queued job gave."""

    event: Event[t.Any]
    """As the job got it: read from the event log, with the payload of the type that its name has."""
    job: str
    """Its path, "module:function"."""
    attempt: int
    outcome: t.Literal["done", "failed", "dead"]
    """"failed" when it is to be tried again."""
    result: t.Any = None
    """What the job returned."""
    error: str | None = None
    """The error and its traceback."""
    wait: float = 0.0
    """Seconds until it is tried again."""


class QueuedJobsFailed(CondorError, AssertionError):
    """Queued jobs failed in a test; ``runs`` holds all runs, those that succeeded too."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = list(runs)
        failed = [run for run in runs if run.outcome != "done"]
        told = "\n\n".join(map(describe, failed))
        super().__init__(
            f"{len(failed)} of {len(runs)} runs of queued jobs failed (run with check=False to look at them):\n{told}"
        )


class EventsWorker(Clock):
    """Runs the queued jobs of *app* for real: ``with EventsWorker(app) as worker: ...; worker.run()``.

    It is the worker of ``flask events worker --once``, on the app's own event log. That must be a database of the test.
    Where the app names none, the log would be a file in the instance folder, shared by all tests and with development;
    and one in memory cannot be shared with a worker. In both cases what is fired in the ``with`` block is queued in a
    file that ends with it.
    """

    def __init__(self, app: Flask) -> None:
        super().__init__(manager_of(app))
        self._leaving = ExitStack()

    def __enter__(self) -> t.Self:
        with ExitStack() as entering:
            entering.enter_context(returning())
            if not is_shareable(self._manager.log):
                entering.enter_context(kept_apart(self._manager, bool))
            self._leaving = entering.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._leaving.close()

    def run(self, *, check: bool = True) -> list[Run]:
        """Run what is due now, and what comes of it; return one :class:`Run` for each run, in order.

        A job that fails is tried again as registered: travel past its wait, and run again.

        :param check: whether a run that failed is an error.
        :raises QueuedJobsFailed: when one did, after all, with every error and its traceback.
        """
        return run_queue(self._manager, check=check)


def is_shareable(log: Log) -> bool:
    """Tell whether *log* is in a database that the app names, and that a worker can open."""
    from ..database import is_in_memory  # imports SQLAlchemy, which a test that only imports this shall not pay

    return log.is_chosen and not is_in_memory(log.engine.url)


def run_queue(manager: EventsManager, *, check: bool) -> list[Run]:
    if not manager.queueing.is_needed:
        return []
    from .drain import drain  # likewise

    runs = [run_of(outcome, manager) for outcome in drain(manager)]
    if check and any(run.outcome != "done" for run in runs):
        raise QueuedJobsFailed(runs)
    return runs


def run_of(outcome: Outcome, manager: EventsManager) -> Run:
    from ..rows import event_from  # likewise

    try:
        event = event_from(outcome.claim.event, manager.registry.typed_names.from_json)
    except CondorError:  # the payload is not of the type that the name has now, which has failed the run
        event = event_from(outcome.claim.event)
    return Run(
        event=event,
        job=outcome.claim.job,
        attempt=outcome.claim.attempt,
        outcome=outcome.kind,
        result=None if outcome.result is None else msgspec.json.decode(outcome.result),
        error=outcome.error,
        wait=outcome.wait,
    )


def describe(run: Run) -> str:
    wait = math.ceil(run.wait)
    then = "dead now" if run.outcome == "dead" else f"tried again in {wait} s: travel(seconds={wait})"
    return f"job {run.job} of event {run.event.name}, attempt {run.attempt}, {then}\n{run.error}"
