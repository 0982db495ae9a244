"""Firing by hand: fires what a person typed, in a command or the dashboard, and tells what became of each job."""

from __future__ import annotations

import logging
import re
import typing as t
from collections.abc import Sequence

import msgspec

from .errors import JobsFailed
from .errors import shorten
from .job import name_of

if t.TYPE_CHECKING:
    from datetime import datetime

    from .event import Event
    from .history import Run
    from .job import Job
    from .manager import EventsManager

Told = tuple[str, str, str, float | None, int | None, str | None]
"""Of a job: its path, run word, state, and, where it has them, due time, delivery and error."""


class FiredByHand(msgspec.Struct, frozen=True):
    """What became of an event that was fired by hand."""

    told: list[Told]
    has_failed: bool
    fired_before: float | None
    """When an event of its id was fired already, so that nothing was queued again; in seconds since 1970 UTC."""


def fire_by_hand(
    manager: EventsManager,
    event: Event[t.Any],
    *,
    delay: float | None = None,
    at: datetime | None = None,
    actor: str | None = None,
) -> FiredByHand:
    """Fire *event*, and tell what its jobs did: a job that fails is told of, and not raised.

    :param delay: and :param at: as :meth:`EventsManager.fire`. :param actor: who asked for it, for the audit; nothing
        is written there when None, nor when nothing was fired anew.
    :raises: as :meth:`EventsManager.fire`, save JobsFailed.
    """
    failures = failures_of(manager, event, delay, at)
    is_queued = delay is not None or at is not None
    jobs = () if manager.registry.is_silent(event.name) else manager.registry.jobs_of(event.name)
    runs, fired_before = stored(manager, event) if is_queued or any(job.run == "queued" for job in jobs) else ([], None)
    if actor is not None and fired_before is None:
        write_down(manager, event, actor)
    told = tell(jobs, dict(failures), {run.job: run for run in runs}, is_queued=is_queued)
    return FiredByHand(told, bool(failures), fired_before)


def failures_of(
    manager: EventsManager, event: Event[t.Any], delay: float | None, at: datetime | None
) -> dict[str, str]:
    """Fire *event*, and return what went wrong, by the name of the job."""
    listener = Listener(event)
    manager.app.logger.addHandler(listener)
    try:
        manager.fire(event, delay=delay, at=at)
    except JobsFailed as failed:
        listener.failures |= {job: f"{type(error).__name__}: {shorten(error)}" for job, error in failed.failures}
    finally:
        manager.app.logger.removeHandler(listener)
        manager.queueing.flush()
    return listener.failures


class Listener(logging.Handler):
    """Hears from the app's log which jobs of *event* failed: not all failures are raised."""

    def __init__(self, event: Event[t.Any]) -> None:
        super().__init__(logging.ERROR)
        self._event = event
        self.failures: dict[str, str] = {}
        """What went wrong, by the name of the job."""

    def emit(self, record: logging.LogRecord) -> None:
        told = vars(record)
        if (told.get("action"), told.get("event_id")) == ("job_failed", self._event.id):
            what = record.getMessage().partition(" failed: ")[2]
            self.failures[re.split("[:.]", told["job"])[-1]] = what.removesuffix("; it is not run again")


def stored(manager: EventsManager, event: Event[t.Any]) -> tuple[list[Run], float | None]:
    """Return the queued deliveries of *event* and, where they are those of an earlier fire, when that was."""
    from .history import event_of  # imports SQLAlchemy, which an app that keeps nothing shall not pay
    from .history import reading
    from .history import runs_of

    with reading(manager.log) as connection:
        found, runs = event_of(connection, event.id), runs_of(connection, event.id)
    is_other = found is not None and found.fired_at != event._made_at
    return [run for run in runs if run.run == "queued"], found.fired_at if found and is_other else None


def write_down(manager: EventsManager, event: Event[t.Any], actor: str) -> None:
    """Note in the audit who fired *event*."""
    from .operations import note  # likewise

    with manager.log.begin(f"event {event.id} was fired, and that is not in the audit") as connection:
        note(connection, actor, "fire", event_id=event.id, event=event.name)


def tell(jobs: Sequence[Job], failures: dict[str, str], runs: dict[str, Run], *, is_queued: bool) -> list[Told]:
    """Return what became of each of *jobs*; of those that are queued, as the event log has them.

    :param runs: the stored ones, by the paths of their jobs. :param is_queued: whether all jobs are.
    """
    told: list[Told] = []
    for job in jobs:
        if is_queued or job.run == "queued":
            told.append(told_of(job.path, runs.get(job.path)))
        else:
            told.append(told_here(job.path, job.run, failures.pop(name_of(job.function), None)))
    return told + [told_here(other, "now", error) for other, error in failures.items()]


def told_here(path: str, run: str, error: str | None) -> Told:
    return (path, run, "done" if error is None else "failed", None, None, error)


def told_of(path: str, run: Run | None) -> Told:
    if run is None:
        return (path, "queued", "not stored", None, None, None)
    return (path, "queued", run.state, run.due_at, run.id, None)
