"""What is stored of one event beside its runs: the trace that it was fired in, and who did what to it."""

from __future__ import annotations

import typing as t

import msgspec
from sqlalchemy import select
from sqlalchemy.engine import Connection

from ...bus import ours
from ...history import value_of
from ...models import audit
from ...models import events

MOST_NOTES = 200
"""How many rows of the audit are shown: the newest."""


class Note(msgspec.Struct, frozen=True):
    """A row of the audit."""

    at: float
    actor: str
    action: str
    delivery_id: int | None
    detail: t.Any


def trace_of(connection: Connection, event_id: str) -> str | None:
    """Return the id of the trace that an event was fired in, of its W3C traceparent."""
    trace = connection.scalar(select(events.c.trace).where(events.c.id == event_id))
    parts = (trace or "").split("-")
    return parts[1] if len(parts) == 4 and len(parts[1]) == 32 and parts[1].isalnum() else None


def notes_of(connection: Connection, event_id: str) -> list[Note]:
    """Return who did what to an event and its deliveries, the newest first."""
    columns = [audit.c[field] for field in Note.__struct_fields__]
    found = select(*columns).where(ours(connection, audit), audit.c.event_id == event_id)
    newest = found.order_by(audit.c.at.desc(), audit.c.id.desc()).limit(MOST_NOTES)
    return [Note(**dict(row._mapping) | {"detail": value_of(row.detail)}) for row in connection.execute(newest)]
