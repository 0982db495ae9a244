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
from .models import DEAD
from .models import PENDING
from .models import audit
from .models import deliveries
from .models import events
from .redacting import redact_ended
from .redacting import shown_payload
from .registry import refuse_namesakes
from .writing import wake_workers
from .writing import write_event

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


IS_QUEUED = deliveries.c.run == "queued"
RETRYABLE = and_(DEAD, IS_QUEUED)
CANCELLED = and_(deliveries.c.state == "cancelled", IS_QUEUED)


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
    redact_ended(connection, {row.event_id for row in found})
    return ids


def run_now(connection: Connection, target: Target, actor: str) -> list[int]:
    """Make what is pending of *target* and not due yet due now; return the numbers of these deliveries.

    :raises OperationRefused: for a target that is not in the log.
    """
    check_known(connection, target)
    now = clock(connection)
    is_later = and_(PENDING, deliveries.c.due_at > now)
    found = rows_of(connection, which(target), is_later)
    ids = [row.id for row in found]
    connection.execute(update(deliveries).where(deliveries.c.id.in_(ids), is_later).values(due_at=now))
    for row in found:
        note(connection, actor, "run-now", event_id=row.event_id, delivery_id=row.id, was={"due_at": row.due_at})
    if ids:
        wake_workers(connection)
    return ids


def replay(  # noqa: PLR0913  # the last three by keyword
    connection: Connection,
    registry: Registry,
    event_id: str,
    jobs: Sequence[object] | None,
    *,
    id: str = "",
    payload: str | None = None,
    origin: Origin,
    actor: str,
) -> Event[t.Any]:
    """Write a new event with the name and payload of a stored one, and a pending delivery for each of its jobs.

    :param jobs: functions, their names or their paths ("module:qualname"); all that are registered now when None.
    :param id: of the new event; a second replay with the same one writes nothing.
    :param payload: JSON in place of the stored one, which then need not be whole.
    :raises OperationRefused: for an event that is not in the log, whose payload is not, or without such a job.
    :raises PayloadInvalid: for a payload that is not, or no longer, of the type that its name has.
    """
    row = connection.execute(select(events).where(ours(connection, events), events.c.id == event_id)).one_or_none()
    if row is None:
        raise OperationRefused(f"event {event_id!r} is not in the event log: {ABSENT}")
    if payload is None:
        refuse_blanks(connection, row)
    chosen = jobs_to_run(registry, row.name, jobs)
    text = row.payload if payload is None else payload
    event: Event[t.Any] = Event(row.name, registry.typed_names.from_json(row.name, text), id, time.time())
    originate(event, Origin("replay", origin.cause, origin.path, origin.family, origin.trace, row.subject))
    if write_event(connection, event, text, chosen, NOW, replay_of=event_id):
        detail: dict[str, t.Any] = {} if payload is None else {"is_edited": True}
        note(
            connection,
            actor,
            "replay",
            event_id=event_id,
            replay=event.id,
            jobs=[job.path for job in chosen],
            **detail,
        )
    elif connection.scalar(select(events.c.replay_of).where(events.c.id == event.id)) != event_id:
        raise OperationRefused(f"id={id!r} is that of another event: leave it out, or make a new one.")
    return event


def refuse_blanks(connection: Connection, row: Row[t.Any]) -> None:
    if not row.is_replayable:
        looked = shorten_repr(shown_payload(connection, row.payload))
        raise OperationRefused(
            f"event {row.id!r} cannot be replayed: its payload was no JSON, and the log holds only what it looked"
            f" like: {looked}. Fire an event with the right payload instead."
        )
    if row.is_redacted:
        raise OperationRefused(f"event {row.id!r} cannot be replayed: {BLANKED}")


BLANKED = (
    "secrets in its payload were not kept (CONDOR_REDACT_STORED), and a job must not run with blanks in their place."
    " Fire an event with the whole payload instead, or replay it with another payload."
)
ABSENT = "it was never stored, or was pruned long after it ended."


def jobs_to_run(registry: Registry, name: str, wanted: Sequence[object] | None = None) -> list[Job]:
    jobs = registry.jobs_once(name)
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
    of_it = select(deliveries.c.run, deliveries.c.event_id, events.c.is_redacted).join(events)
    row = connection.execute(of_it.where(deliveries.c.id == target)).one()
    if row.run != "queued":
        raise OperationRefused(
            f"delivery {target} tells of a run={row.run!r} job, which no worker can take up. Replay its event instead."
        )
    if row.is_redacted:
        raise OperationRefused(f"delivery {target} cannot be retried: {BLANKED}")


def which(target: Target) -> ColumnElement[bool]:
    return deliveries.c.event_id == target if isinstance(target, str) else deliveries.c.id == target


def rows_of(connection: Connection, which: ColumnElement[bool], chosen: ColumnElement[bool]) -> Sequence[Row[t.Any]]:
    """Return the *chosen* of the deliveries *which*; they stay as they are until the transaction ends."""
    return connection.execute(
        select(deliveries).where(which, chosen).order_by(deliveries.c.id).with_for_update()
    ).fetchall()


def note(
    connection: Connection,
    actor: str,
    action: str,
    *,
    event_id: str | None = None,
    delivery_id: int | None = None,
    **detail: object,
) -> None:
    """Write into the audit that *actor* has done *action*, to an event or to something else that *detail* names."""
    noted = a_note(connection, clock(connection), actor, action, event_id=event_id, delivery_id=delivery_id, **detail)
    connection.execute(insert(audit).values(noted))


def a_note(  # a column each
    connection: Connection,
    at: float,
    actor: str,
    action: str,
    *,
    event_id: str | None,
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
