"""What came over HTTP: the receipts of what was accepted, and the counts of what was refused, by status and rule."""

from __future__ import annotations

import typing as t

import msgspec
from sqlalchemy import func
from sqlalchemy import select
from sqlalchemy import tuple_
from sqlalchemy.engine import Connection

from ...bus import ours
from ...edge_models import receipts
from ...edge_models import rejections
from ...history import value_of
from ...models import events
from ...rates import HOUR

COUNTED = 10_000
"""How many receipts, the newest of the period first, are counted."""

Place = tuple[float, str]
"""Where a receipt stands: when the event came, and its id."""


class Received(msgspec.Struct, frozen=True):
    """A receipt in a list, with the name of its event; None when that was deleted."""

    event_id: str
    name: str | None
    form: str
    sender: str
    address: str
    at: float
    repeats: int

    @property
    def place(self) -> Place:
        return self.at, self.event_id


class Counts(msgspec.Struct, frozen=True):
    """How many events were accepted, and sent again."""

    events: int
    repeated: int
    """How many of them were sent again."""
    repeats: int
    has_more: bool


class Refused(msgspec.Struct, frozen=True):
    """The requests of a time that broke one rule."""

    status: int
    rule: str
    count: int
    last_at: float
    sample: t.Any
    """What is told of the last one."""


COLUMNS = (receipts.c.event_id, events.c.name, *(receipts.c[field] for field in Received.__struct_fields__[2:]))


def received(
    connection: Connection, since: float, until: float, most: int, before: Place | None = None
) -> list[Received]:
    """Return the newest *most* receipts of a time, those before a place in that order."""
    found = select(*COLUMNS).select_from(receipts.outerjoin(events, events.c.id == receipts.c.event_id))
    found = found.where(ours(connection, receipts), receipts.c.at >= since, receipts.c.at <= until)
    if before is not None:
        place = tuple_(receipts.c.at, receipts.c.event_id)
        found = found.where(receipts.c.at <= before[0], place < tuple_(*before))
    newest = found.order_by(receipts.c.at.desc(), receipts.c.event_id.desc()).limit(most)
    return [Received(*row) for row in connection.execute(newest)]


def counts_of(connection: Connection, since: float, until: float) -> Counts:
    """Return how many events of a time were accepted, and how often they were sent again."""
    found = select(receipts.c.repeats).where(ours(connection, receipts), receipts.c.at >= since, receipts.c.at <= until)
    some = found.order_by(receipts.c.at.desc()).limit(COUNTED + 1).subquery()
    repeated = func.count().filter(some.c.repeats > 0)
    count, again, repeats = connection.execute(select(func.count(), repeated, func.sum(some.c.repeats))).one()
    return Counts(min(count, COUNTED), again, repeats or 0, count > COUNTED)


def refused(connection: Connection, since: float, until: float) -> list[Refused]:
    """Return what was refused in the hours that a time touches, the most frequent first."""
    within = (ours(connection, rejections), rejections.c.start > since - HOUR, rejections.c.start <= until)
    columns = rejections.c.status, rejections.c.rule
    grouped = select(*columns, func.sum(rejections.c.count), func.max(rejections.c.start)).where(*within)
    rows = connection.execute(grouped.group_by(*columns)).all()
    last = tuple_(rejections.c.start, *columns).in_([(row[3], row[0], row[1]) for row in rows])
    told = select(*columns, rejections.c.last_at, rejections.c.sample).where(ours(connection, rejections), last)
    samples = {(row[0], row[1]): (row[2], value_of(row[3])) for row in connection.execute(told)}
    found = [Refused(status, rule, int(count), *samples[status, rule]) for status, rule, count, _ in rows]
    return sorted(found, key=lambda one: (-one.count, one.status, one.rule))
