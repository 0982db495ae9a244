"""What came over HTTP: the receipts of what was accepted, and the counts of what was refused, by status and rule."""

from __future__ import annotations

import typing as t

import msgspec
from sqlalchemy import Column
from sqlalchemy import Select
from sqlalchemy import func
from sqlalchemy import select
from sqlalchemy import tuple_
from sqlalchemy.engine import Connection

from ...bus import ours
from ...edge_models import rejections
from ...history import value_of
from ...models import RECEIVED
from ...models import events
from ...rates import HOUR

COUNTED = 10_000
"""How many events, the newest of the period first, are counted."""

Place = tuple[float, str]
"""Where an event stands in the list: when the event came, and its id."""


class Received(msgspec.Struct, frozen=True):
    """An event in a list, with its receipt."""

    event_id: str
    name: str
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


COLUMNS = tuple(events.c[field] for field in ("id", "name", "form", "sender", "address", "fired_at", "repeats"))


def received(
    connection: Connection, since: float, until: float, most: int, before: Place | None = None
) -> list[Received]:
    """Return the newest *most* of a time, those before a place in that order."""
    found = select_received(connection, since, until, *COLUMNS)
    if before is not None:
        found = found.where(events.c.fired_at <= before[0], tuple_(events.c.fired_at, events.c.id) < tuple_(*before))
    return [Received(*row) for row in connection.execute(found.limit(most))]


def counts_of(connection: Connection, since: float, until: float) -> Counts:
    """Return how many events of a time were accepted, and how often they were sent again."""
    found = select_received(connection, since, until, events.c.repeats)
    some = found.limit(COUNTED + 1).subquery()
    repeated = func.count().filter(some.c.repeats > 0)
    count, again, repeats = connection.execute(select(func.count(), repeated, func.sum(some.c.repeats))).one()
    return Counts(min(count, COUNTED), again, repeats or 0, count > COUNTED)


def select_received(connection: Connection, since: float, until: float, *columns: Column[t.Any]) -> Select[t.Any]:
    """Return a statement for what came over HTTP in a time, in the order of its index, by which SQLite chooses it."""
    found = select(*columns).where(ours(connection, events), RECEIVED)
    found = found.where(events.c.fired_at >= since, events.c.fired_at <= until)
    return found.order_by(events.c.fired_at.desc(), events.c.id.desc())


def refused(connection: Connection, since: float, until: float) -> list[Refused]:
    """Return what was refused in the hours that a time touches, the most frequent first."""
    touched = (ours(connection, rejections), rejections.c.start > int(since - HOUR), rejections.c.start <= int(until))
    columns = rejections.c.status, rejections.c.rule
    grouped = select(*columns, func.sum(rejections.c.count), func.max(rejections.c.start)).where(*touched)
    rows = connection.execute(grouped.group_by(*columns)).all()
    last = tuple_(rejections.c.start, *columns).in_([(row[3], row[0], row[1]) for row in rows])
    told = select(*columns, rejections.c.last_at, rejections.c.sample).where(ours(connection, rejections), last)
    samples = {(row[0], row[1]): (row[2], value_of(row[3])) for row in connection.execute(told)}
    found = [Refused(status, rule, int(count), *samples[status, rule]) for status, rule, count, _ in rows]
    return sorted(found, key=lambda one: (-one.count, one.status, one.rule))
