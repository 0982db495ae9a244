"""What is stored of one event beside its runs: how it came in, what it repeats, and who did what to it."""

from __future__ import annotations

import typing as t

import msgspec
from sqlalchemy import select
from sqlalchemy.engine import Connection

from ...bus import ours
from ...edge_models import receipts
from ...history import value_of
from ...models import audit
from ...models import events

MOST_NOTES = 200
"""How many rows of the audit are shown: the newest."""


class Receipt(msgspec.Struct, frozen=True):
    """How an event came in over HTTP."""

    form: str
    sender: str
    address: str
    key: str | None
    headers: t.Any
    """Redacted when they were stored."""
    at: float
    repeats: int


class Note(msgspec.Struct, frozen=True):
    """A row of the audit."""

    at: float
    actor: str
    action: str
    delivery_id: int | None
    detail: t.Any


def receipt_of(connection: Connection, event_id: str) -> Receipt | None:
    """Return how an event came in over HTTP; None when it did not."""
    columns = [receipts.c[field] for field in Receipt.__struct_fields__]
    found = select(*columns).where(ours(connection, receipts), receipts.c.event_id == event_id)
    row = connection.execute(found).one_or_none()
    return None if row is None else Receipt(**dict(row._mapping) | {"headers": value_of(row.headers)})


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
