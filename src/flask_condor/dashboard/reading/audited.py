"""The audit: who did what to stored events, the last first."""

from __future__ import annotations

import typing as t

import msgspec
from sqlalchemy import select
from sqlalchemy import tuple_
from sqlalchemy.engine import Connection

from ...bus import ours
from ...history import value_of
from ...models import audit

LOOKED_AT = 10_000
"""How many rows one page looks at for those that it wants; it goes on where that ended."""
CHUNK = 1000

Place = tuple[float, int]


class Note(msgspec.Struct, frozen=True):
    """What somebody did."""

    id: int
    at: float
    actor: str
    action: str
    event_id: str | None
    delivery_id: int | None
    detail: str

    @property
    def place(self) -> Place:
        return self.at, self.id

    @property
    def value(self) -> t.Any:
        """What the detail holds."""
        return value_of(self.detail)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which notes are wanted: those that meet all that is not None."""

    actor: str | None = None
    action: str | None = None
    event_id: str | None = None

    def takes(self, note: Note) -> bool:
        """Tell whether *note* is one of them."""
        pairs = (self.actor, note.actor), (self.action, note.action), (self.event_id, note.event_id)
        return all(wanted in (None, found) for wanted, found in pairs)


def notes(
    connection: Connection, wanted: Wanted, most: int, before: Place | None = None
) -> tuple[list[Note], Place | None]:
    """Return the last *most* of the *wanted* notes before a place, and the place from which to go on, if any."""
    found: list[Note] = []
    for _ in range(LOOKED_AT // CHUNK):
        chunk = some(connection, before)
        for note in chunk:
            if wanted.takes(note):
                found.append(note)
            if len(found) == most:
                return found, note.place
            before = note.place
        if len(chunk) < CHUNK:
            return found, None
    return found, before


def some(connection: Connection, before: Place | None) -> list[Note]:
    last = select(*[audit.c[field] for field in Note.__struct_fields__]).where(ours(connection, audit))
    if before is not None:
        last = last.where(audit.c.at <= before[0], tuple_(audit.c.at, audit.c.id) < tuple_(*before))
    rows = connection.execute(last.order_by(audit.c.at.desc(), audit.c.id.desc()).limit(CHUNK))
    return [Note(*row) for row in rows]
