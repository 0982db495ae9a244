"""What the log says of names: when each was fired last, how its jobs ran, and which were fired and nobody knows."""

from __future__ import annotations

import typing as t

import msgspec
from sqlalchemy import case
from sqlalchemy import func
from sqlalchemy import select
from sqlalchemy.engine import Connection

from ...bus import ours
from ...models import events
from ...models import rates
from ...rates import HOUR

LOOKED_AT = 10_000
"""How many events, the newest first, are looked at for when each name was fired last, and for unknown names."""
MOST = 200
"""How many unknown names are shown."""
BAD = ("failed", "dead", "lost")


class Ran(msgspec.Struct, frozen=True):
    """How the jobs of one name ran."""

    runs: int
    bad: int
    """How many of them failed, or were lost with their worker."""
    last_hour: float
    """When the last hour began in which one ended, in seconds since 1970 UTC."""


class Seen(msgspec.Struct, frozen=True):
    """The events of one name, among those that were looked at."""

    name: str
    count: int
    last_at: float


def last_fired(connection: Connection) -> dict[str, float]:
    """Return when each name was fired last, of those among the newest :data:`LOOKED_AT` events."""
    return {one.name: one.last_at for one in seen_in(connection, 0.0, None)}


def seen_in(connection: Connection, since: float, until: float | None) -> list[Seen]:
    """Return the names of the newest events of a time, the last one first."""
    found = select(events.c.name, events.c.fired_at).where(ours(connection, events), events.c.fired_at >= since)
    if until is not None:
        found = found.where(events.c.fired_at < until)
    some = found.order_by(events.c.fired_at.desc()).limit(LOOKED_AT).subquery()
    by_name = select(some.c.name, func.count(), func.max(some.c.fired_at)).group_by(some.c.name)
    rows = connection.execute(by_name.order_by(func.max(some.c.fired_at).desc(), some.c.name))
    return [Seen(*row) for row in rows]


def ran_since(connection: Connection, since: float, name: str | None = None) -> dict[str, Ran]:
    """Return how the jobs of each name ran *since*, by whole hours."""
    bad = case((rates.c.outcome.in_(BAD), rates.c.runs), else_=0)
    found = (
        select(rates.c.name, func.sum(rates.c.runs), func.sum(bad), func.max(rates.c.start))
        .where(ours(connection, rates), rates.c.width == HOUR, rates.c.start > since - HOUR)
        .group_by(rates.c.name)
    )
    if name is not None:
        found = found.where(rates.c.name == name)
    rows: t.Any = connection.execute(found)
    return {row[0]: Ran(int(row[1]), int(row[2]), float(row[3])) for row in rows}
