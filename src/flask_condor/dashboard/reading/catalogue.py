"""What the log says of names: when each was fired last, how its jobs ran, and which were fired and nobody knows."""

from __future__ import annotations

import msgspec
from sqlalchemy import Subquery
from sqlalchemy import func
from sqlalchemy import select
from sqlalchemy.engine import Connection

from ...bus import ours
from ...models import events
from ...rates import HOUR
from .spans import spans

LOOKED_AT = 10_000
"""How many events, the newest first, are looked at for when each name was fired last, and for unknown names."""
MOST = 200
"""How many unknown names are shown."""
BAD = ("failed", "dead", "lost")


class Ran(msgspec.Struct):
    """How the jobs of one name ran."""

    runs: int = 0
    bad: int = 0
    """How many of them failed, or were lost with their worker."""


class Seen(msgspec.Struct, frozen=True):
    """The events of one name, among those that were looked at."""

    name: str
    count: int
    """How many of them were fired in the time that was asked for."""
    last_at: float


def seen_since(connection: Connection, since: float, until: float | None = None) -> list[Seen]:
    """Return the names of the newest events before *until*, and how many of each were fired *since*."""
    some = newest(connection, until)
    counted = func.count().filter(some.c.fired_at >= since)
    found = select(some.c.name, counted, func.max(some.c.fired_at)).group_by(some.c.name)
    return [Seen(*row) for row in connection.execute(found)]


def last_fired(connection: Connection, name: str) -> float | None:
    """Return when one name was fired last; None where it is not among the newest events."""
    some = newest(connection)
    last: float | None = connection.scalar(select(func.max(some.c.fired_at)).where(some.c.name == name))
    return last


def newest(connection: Connection, until: float | None = None) -> Subquery:
    found = select(events.c.name, events.c.fired_at).where(ours(connection, events))
    found = found if until is None else found.where(events.c.fired_at < until)
    return found.order_by(events.c.fired_at.desc()).limit(LOOKED_AT).subquery()


def ran_since(connection: Connection, since: float, now: float) -> dict[str, Ran]:
    """Return how the jobs of each name ran *since*, by whole hours; those that are over are read once in a process."""
    starts = range(int(since // HOUR) * HOUR, int(now) + 1, HOUR)
    found: dict[str, Ran] = {}
    for span in spans(connection, starts, now).values():
        for (name, outcome), runs in span.names.items():
            ran = found.setdefault(name, Ran())
            ran.runs += runs
            ran.bad += runs if outcome in BAD else 0
    return found
