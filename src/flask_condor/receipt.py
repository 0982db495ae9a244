"""The receipt of an event that came in over HTTP: who sent it, and how; shown by command and dashboard."""

from __future__ import annotations

import typing as t

import msgspec
from sqlalchemy import select
from sqlalchemy.engine import Connection

from .bus import ours
from .history import value_of
from .models import RECEIVED
from .models import events


class Receipt(msgspec.Struct, frozen=True):
    """How an event came in over HTTP."""

    form: str
    sender: str
    address: str
    key: str | None
    headers: t.Any
    """Redacted when they were stored."""
    repeats: int


def receipt_of(connection: Connection, event_id: str) -> Receipt | None:
    """Return how an event came in over HTTP; None when it did not."""
    columns = [events.c[field] for field in Receipt.__struct_fields__]
    found = select(*columns).where(ours(connection, events), events.c.id == event_id, RECEIVED)
    row = connection.execute(found).one_or_none()
    return None if row is None else Receipt(**dict(row._mapping) | {"headers": value_of(row.headers)})
