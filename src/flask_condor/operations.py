"""The operations: what a person, or the app, does to stored deliveries: retry, cancel and replay, each audited."""

from __future__ import annotations

import json
import time
import typing as t
from collections.abc import Sequence

from sqlalchemy import ColumnElement
from sqlalchemy import and_
from sqlalchemy import insert
from sqlalchemy import or_
from sqlalchemy import select
from sqlalchemy import update
from sqlalchemy.engine import Connection
from sqlalchemy.engine import Row

from .bus import bus_of
from .bus import ours
from .due import NOW
from .errors import OperationRefused
from .errors import shorten_repr
from .event import Event
from .event import Origin
from .event import originate
from .job import Job
from .job import is_same
from .job import name_of
from .log import clock
from .log import wake_workers
from .log import write_event
from .models import DEAD
from .models import PENDING
from .models import audit
from .models import deliveries
from .models import events
from .payload import from_json
from .registry import refuse_namesakes

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from .registry import Registry

Target = int | str
"""A delivery, by its number, or an event, by its id."""


def retry(connection: Connection, targets: Sequence[Target], actor: str) -> list[int]:
    """Make dead deliveries pending again, with all their attempts; return the numbers of those that were moved.

    One that is cancelled is moved too when it is named by its number; one that is neither is left as it is. Its error
    stays until the next attempt has ended, and in the audit.

    :raises OperationRefused: for a target that is not in the log, or whose runs were never queued; nothing is moved.
    """
    moved: list[int] = []
    for target in targets:
        check_retryable(connection, target)
        chosen = RETRYABLE if isinstance(target, str) else or_(RETRYABLE, CANCELLED)
        moved += make_pending(connection, which(target), chosen, actor)
    return moved


RETRYABLE = and_(DEAD, deliveries.c.run == "queued")
CANCELLED = and_(deliveries.c.state == "cancelled", deliveries.c.run == "queued")


def make_pending(
    connection: Connection, which: ColumnElement[bool], chosen: ColumnElement[bool], actor: str
) -> list[int]:
    """Make those of the deliveries *which* that still are *chosen* pending again, and return their numbers."""
    found = rows_of(connection, which, chosen)
    if not found:
        return []
    ids, now = [row.id for row in found], clock(connection)
    connection.execute(
        update(deliveries)
        .where(deliveries.c.id.in_(ids), chosen)
        .values(state="pending", attempt=0, losses=0, worker=None, due_at=now, finished_at=None)
    )
    notes = []
    for row in found:
        was = {"state": row.state, "attempt": row.attempt, "error": row.error}
        notes.append(a_note(connection, now, actor, "retry", event_id=row.event_id, delivery_id=row.id, was=was))
    connection.execute(insert(audit), notes)
    wake_workers(connection)
    return ids


def cancel(connection: Connection, target: Target, actor: str) -> list[int]:
    """Cancel what is pending of *target*; return the numbers of the deliveries that were cancelled.

    Those that are running, or have ended, are left as they are: a second cancel finds nothing to do.

    :raises OperationRefused: for a target that is not in the log.
    """
    check_known(connection, target)
    found = rows_of(connection, which(target), PENDING)
    ids = [row.id for row in found]
    moving = update(deliveries).where(deliveries.c.id.in_(ids), PENDING)
    connection.execute(moving.values(state="cancelled", finished_at=clock(connection)))
    for row in found:
        note(connection, actor, "cancel", event_id=row.event_id, delivery_id=row.id, was={"attempt": row.attempt})
    return ids


def replay(  # noqa: PLR0913  # the last three by keyword
    connection: Connection,
    registry: Registry,
    event_id: str,
    jobs: Sequence[object] | None,
    *,
    id: str = "",
    origin: Origin,
    actor: str,
) -> Event[t.Any]:
    """Write a new event with the name and payload of a stored one, and a pending delivery for each of its jobs.

    :param jobs: functions, their names or their paths ("module:qualname"); all that are registered now when None.
    :param id: of the new event; a second replay with the same one writes nothing.
    :raises OperationRefused: for an event that is not in the log, whose payload is not, or without such a job.
    :raises PayloadInvalid: for a stored payload that is no longer of the type that its name has.
    """
    row = connection.execute(select(events).where(ours(connection, events), events.c.id == event_id)).one_or_none()
    if row is None:
        raise OperationRefused(f"event {event_id!r} is not in the event log: {ABSENT}")
    if not row.is_replayable:
        raise OperationRefused(
            f"event {event_id!r} cannot be replayed: its payload was no JSON, and the log holds only what it looked"
            f" like: {shorten_repr(from_json(row.payload))}. Fire an event with the right payload instead."
        )
    chosen = jobs_to_run(registry, row.name, jobs)
    payload = registry.typed_names.from_json(row.name, row.payload)
    event: Event[t.Any] = Event(row.name, payload, id, time.time())
    originate(event, Origin("replay", origin.cause, origin.path, origin.family, origin.trace))
    if write_event(connection, event, row.payload, chosen, NOW, replay_of=event_id):
        note(connection, actor, "replay", event_id=event_id, replay=event.id, jobs=[job.path for job in chosen])
    elif connection.scalar(select(events.c.replay_of).where(events.c.id == event.id)) != event_id:
        raise OperationRefused(f"id={id!r} is that of another event: leave it out, or make a new one.")
    return event


ABSENT = "it was never stored, or was pruned long after it ended."


def jobs_to_run(registry: Registry, name: str, wanted: Sequence[object] | None = None) -> list[Job]:
    jobs: list[Job] = []
    for job in registry.jobs_of(name):
        if not any(is_same(job.function, other.function) for other in jobs):
            jobs.append(registry.job_named(name, job.path) or job)
    if wanted is not None:
        jobs = [chosen for one in wanted for chosen in [job_wanted(jobs, name, one)]]
    if not jobs:
        raise OperationRefused(
            f"event {name!r} has no job to replay: none is registered for it now, or none was named."
        )
    refuse_namesakes(name, jobs)
    return jobs


def job_wanted(jobs: Sequence[Job], name: str, wanted: object) -> Job:
    tests: tuple[Callable[[Job], bool], ...] = (
        lambda job: is_same(job.function, wanted),
        lambda job: job.path == wanted,
        lambda job: name_of(job.function) == wanted,
    )
    for test in tests:
        found = [job for job in jobs if test(job)]
        if len(found) == 1:
            return found[0]
    known = ", ".join(job.path for job in jobs) or "none"
    raise OperationRefused(f"{wanted!r} is not one job of event {name!r}. Registered now: {known}.")


def check_known(connection: Connection, target: Target) -> None:
    table, what = (events, "event") if isinstance(target, str) else (deliveries, "delivery")
    if connection.scalar(select(table.c.id).where(ours(connection, table), table.c.id == target)) is None:
        raise OperationRefused(f"{what} {target!r} is not in the event log: {ABSENT}")


def check_retryable(connection: Connection, target: Target) -> None:
    check_known(connection, target)
    if isinstance(target, str):
        return
    run = connection.scalar(select(deliveries.c.run).where(deliveries.c.id == target))
    if run != "queued":
        raise OperationRefused(
            f"delivery {target} tells of a run={run!r} job, which no worker can take up. Replay its event instead."
        )


def which(target: Target) -> ColumnElement[bool]:
    return deliveries.c.event_id == target if isinstance(target, str) else deliveries.c.id == target


def rows_of(connection: Connection, which: ColumnElement[bool], chosen: ColumnElement[bool]) -> Sequence[Row[t.Any]]:
    """Return the *chosen* of the deliveries *which*; they stay as they are until the transaction ends."""
    return connection.execute(
        select(deliveries).where(which, chosen).order_by(deliveries.c.id).with_for_update()
    ).fetchall()


def note(
    connection: Connection, actor: str, action: str, *, event_id: str, delivery_id: int | None = None, **detail: object
) -> None:
    noted = a_note(connection, clock(connection), actor, action, event_id=event_id, delivery_id=delivery_id, **detail)
    connection.execute(insert(audit).values(noted))


def a_note(  # a column each
    connection: Connection,
    at: float,
    actor: str,
    action: str,
    *,
    event_id: str,
    delivery_id: int | None,
    **detail: object,
) -> dict[str, object]:
    return {
        "at": at,
        "actor": actor,
        "action": action,
        "event_id": event_id,
        "delivery_id": delivery_id,
        "detail": json.dumps(detail),
        "bus": bus_of(connection),
    }
