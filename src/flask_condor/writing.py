"""Writing: how an event and its deliveries get into the tables, in the transaction of a connection."""

from __future__ import annotations

import time
import typing as t
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.engine import Connection

from . import travel
from .bus import bus_of
from .database import executor_of
from .database import is_psycopg
from .errors import EventIdTaken
from .event import Event
from .family import refuse_large_family
from .models import events
from .redacting import redacted
from .redacting import redaction_of
from .rows import NO_RECEIPT
from .rows import Deliverable
from .rows import delivery_row
from .rows import event_row
from .statements import ADD_DELIVERIES
from .statements import ADD_DELIVERIES_DUE_IN
from .statements import ADD_DELIVERY
from .statements import NOTIFY
from .statements import accept
from .statements import accept_by_psycopg
from .statements import add_event

if t.TYPE_CHECKING:
    from .due import Due


def write_event(  # noqa: PLR0913  # the last two by keyword
    connection: Connection,
    event: Event[t.Any],
    payload: str,
    jobs: Sequence[Deliverable],
    due: Due,
    *,
    replay_of: str | None = None,
    bus: str | None = None,
    receipt: Mapping[str, t.Any] = NO_RECEIPT,
) -> bool:
    """Write *event* with a pending delivery for each of *jobs*; return False when an event of its id is there already.

    :param payload: as :func:`~flask_condor.payload.to_json` gives it.
    :param replay_of: the id of the event that this one repeats.
    :param bus: that of *connection* when None; the connection of a caller has none.
    :param receipt: of an event that came over HTTP, its columns in their order.
    :raises EventIdTaken: when that is of another name, or on another bus.
    :raises EventLoop: when the root of *event* has led to too many others already.
    """
    bus = bus or bus_of(connection)
    payload, is_redacted = redacted(payload, None if jobs else redaction_of(connection))
    row = event_row(
        event, payload, bus, is_orphan=not jobs, is_redacted=is_redacted, replay_of=replay_of, receipt=receipt
    )
    if connection.dialect.name != "sqlite":
        is_new = accept_on_server(connection, len(jobs), row | parameters_of(jobs, due))
    else:
        execute = executor_of(connection)
        if is_new := execute(*add_event(row)).rowcount:
            write_rows(execute, row["id"], jobs, due, bus)
    if is_new and row["root_id"] != row["id"]:
        refuse_large_family(connection, row["root_id"], (*event._origin.path, event.name) if event._origin else ())
    if not is_new:
        refuse_other_event(connection, event, bus)
    return bool(is_new)


def accept_on_server(connection: Connection, jobs: int, parameters: dict[str, t.Any]) -> bool:
    if is_psycopg(connection):
        return executor_of(connection)(accept_by_psycopg(jobs), parameters).fetchone() is not None
    return connection.execute(accept(jobs), parameters).first() is not None


def refuse_other_event(connection: Connection, event: Event[t.Any], bus: str) -> None:
    stored = connection.execute(select(events.c.name, events.c.bus).where(events.c.id == event.id)).one_or_none()
    if stored is not None and tuple(stored) != (event.name, bus):
        raise EventIdTaken(event.id, repr(stored.name) if stored.bus == bus else f"of bus {stored.bus!r}", event.name)


def parameters_of(jobs: Sequence[Deliverable], due: Due) -> dict[str, t.Any]:
    found: dict[str, t.Any] = {"at": due.at, "wait": due.wait + travel.ahead}
    for number, job in enumerate(jobs):
        found |= {f"job{number}": job.path, f"queue{number}": job.rules.queue, f"priority{number}": job.rules.priority}
    return found


def write_deliveries(connection: Connection, event_id: str, jobs: Sequence[Deliverable], due: Due, bus: str) -> None:
    """Write a pending delivery of the event for each of *jobs*, and wake the workers at commit."""
    if not jobs:
        return
    if connection.dialect.name == "sqlite":
        write_rows(executor_of(connection), event_id, jobs, due, bus)
        return
    wait_from_now = due.wait + travel.ahead
    wait = {"wait": wait_from_now} if due.at is None else {"due_at": due.at}
    statement = ADD_DELIVERIES_DUE_IN if due.at is None else ADD_DELIVERIES
    connection.execute(statement, [delivery_row(event_id, job, bus) | wait for job in jobs])
    wake_workers(connection)


def write_rows(execute: Callable[..., t.Any], event_id: str, jobs: Sequence[Deliverable], due: Due, bus: str) -> None:
    at = time.time() + due.wait + travel.ahead if due.at is None else due.at
    for job in jobs:
        execute(ADD_DELIVERY, (*delivery_row(event_id, job, bus).values(), at))


def wake_workers(connection: Connection) -> None:
    """Tell the workers, at commit, that something is due; those on SQLite see it by themselves."""
    if connection.dialect.name != "sqlite":
        connection.execute(NOTIFY)
