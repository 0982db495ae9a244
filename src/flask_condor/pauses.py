"""The pauses: which queues and events no worker claims deliveries of, until they are resumed.

Workers read them with their lanes (see :mod:`~flask_condor.lanes`), which they look up twice a second at least while
they claim. What a worker has in hand already runs on.
"""

from __future__ import annotations

import typing as t

import msgspec
from sqlalchemy import ColumnElement
from sqlalchemy import and_
from sqlalchemy import delete
from sqlalchemy import select
from sqlalchemy import text
from sqlalchemy import true
from sqlalchemy.engine import Connection

from .bus import bus_of
from .bus import ours
from .errors import OperationRefused
from .errors import shorten_repr
from .job import Rules
from .log import clock
from .models import deliveries
from .models import events
from .models import pauses
from .operations import note
from .writing import wake_workers

if t.TYPE_CHECKING:
    from .registry import Registry

Kind = t.Literal["queue", "event"]

ADD = text("""
    INSERT INTO condor_pauses (bus, kind, name, at, actor) VALUES (:bus, :kind, :name, :at, :actor)
    ON CONFLICT DO NOTHING
""")


class Pause(msgspec.Struct, frozen=True):
    """A queue or an event that is paused."""

    kind: Kind
    name: str
    at: float
    """Since when, in seconds since 1970 UTC."""
    actor: str
    """Who paused it."""


def pause(connection: Connection, registry: Registry, kind: Kind, name: str, actor: str) -> bool:
    """Let no worker claim the deliveries of a queue or an event; return False when it is paused already.

    What runs is not stopped. Workers heed it within a second.

    :raises OperationRefused: for a queue that no job is registered for. :raises EventNotRegistered: likewise.
    """
    if kind == "event":
        registry.registered_signal(name)
    elif name not in (known := queues_of(registry)):
        raise OperationRefused(
            f"no job is registered for queue {shorten_repr(name)}, so there is nothing to pause."
            f" Registered for: {', '.join(known)}."
        )
    row = {"bus": bus_of(connection), "kind": kind, "name": name, "at": clock(connection), "actor": actor}
    if not connection.execute(ADD, row).rowcount:
        return False
    note(connection, actor, "pause", kind=kind, name=name)
    return True


def resume(connection: Connection, kind: Kind, name: str, actor: str) -> bool:
    """Let workers claim them again; return False when it was not paused."""
    one = and_(ours(connection, pauses), pauses.c.kind == kind, pauses.c.name == name)
    if not connection.execute(delete(pauses).where(one)).rowcount:
        return False
    note(connection, actor, "resume", kind=kind, name=name)
    wake_workers(connection)
    return True


def pauses_of(connection: Connection) -> list[Pause]:
    """Return what is paused, queues last, each kind by name."""
    columns = [pauses.c[field] for field in Pause.__struct_fields__]
    found = select(*columns).where(ours(connection, pauses)).order_by(pauses.c.kind, pauses.c.name)
    return [Pause(*row) for row in connection.execute(found)]


def not_paused(connection: Connection) -> ColumnElement[bool]:
    """Return the condition for the deliveries that are not paused."""
    names: dict[str, list[str]] = {"queue": [], "event": []}
    for one in pauses_of(connection):
        names[one.kind].append(one.name)
    of_event = select(events.c.name).where(events.c.id == deliveries.c.event_id).scalar_subquery()
    in_queue = deliveries.c.queue.not_in(names["queue"]) if names["queue"] else true()
    return and_(in_queue, of_event.not_in(names["event"])) if names["event"] else in_queue


def queues_of(registry: Registry) -> list[str]:
    """Return the queues that jobs are registered for, and the default one."""
    return sorted({job.rules.queue for jobs in registry.jobs.values() for job in jobs} | {Rules().queue})
