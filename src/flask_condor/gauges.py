"""The gauges: how much waits, for how long, and who works on it; a worker writes them down, once in a minute.

The row of an hour holds the highest of its minutes. There is none for a time in which no worker ran.
"""

from __future__ import annotations

import typing as t
from collections.abc import Iterator

import msgspec
from sqlalchemy import case
from sqlalchemy import func
from sqlalchemy import select
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Connection

from .bus import bus_of
from .bus import ours
from .log import clock
from .models import PENDING
from .models import deliveries
from .models import workers
from .presence import UNSEEN
from .rates import HOUR
from .rates import MINUTE
from .trend_models import gauges

if t.TYPE_CHECKING:
    from sqlalchemy import ColumnElement

MOST = 10_000
"""Up to how many deliveries are counted."""
MOST_LANES = 100


class Gauge(msgspec.Struct, frozen=True):
    """How the queue stands."""

    pending: int
    """How many deliveries wait, due or not; one more than :data:`MOST` when there are more."""
    waited: float
    """For how many seconds the one has been due that waits longest; 0 when none is."""
    workers: int
    """Those seen lately."""


NAMES = Gauge.__struct_fields__


def look(connection: Connection) -> Gauge:
    """Return how the queue stands now, in a time that has a bound."""
    now = clock(connection)
    due = oldest_due(connection, now)
    seen = select(func.count()).where(ours(connection, workers), workers.c.seen_at > now - UNSEEN)
    return Gauge(count_some(connection, PENDING), 0.0 if due is None else now - due, connection.scalar(seen) or 0)


def count_some(connection: Connection, condition: ColumnElement[bool]) -> int:
    """Return how many deliveries meet a condition that an index leads to; at most one more than :data:`MOST`."""
    some = select(deliveries.c.id).where(condition, ours(connection, deliveries)).limit(MOST + 1).subquery()
    return connection.scalar(select(func.count()).select_from(some)) or 0


def oldest_due(connection: Connection, now: float) -> float | None:
    """Return since when the delivery is due that waits longest; None when none is."""
    first = min(heads(connection), default=None)
    return first if first is not None and first <= now else None


def heads(connection: Connection) -> Iterator[float]:
    """Return when the first delivery of each queue and priority is due.

    From one to the next by the index: the first of all, without these, would be looked for among all that waits.
    """
    columns = deliveries.c.queue, deliveries.c.priority, deliveries.c.due_at
    first = select(*columns).where(PENDING, ours(connection, deliveries)).order_by(*columns).limit(1)
    row = connection.execute(first).first()
    for _ in range(MOST_LANES):
        if row is None:
            return
        yield row.due_at
        same_queue = first.where(deliveries.c.queue == row.queue, deliveries.c.priority > row.priority)
        found = connection.execute(same_queue).first()
        row = found or connection.execute(first.where(deliveries.c.queue > row.queue)).first()


def note_gauge(connection: Connection) -> bool:
    """Write down how the queue stands, unless a worker has done so in this minute; return whether it was written."""
    minute = int(clock(connection) // MINUTE) * MINUTE
    is_known = select(gauges.c.start).where(
        ours(connection, gauges), gauges.c.width == MINUTE, gauges.c.start == minute
    )
    if connection.scalar(is_known) is not None:
        return False
    add_gauge(connection, minute, look(connection))
    return True


def add_gauge(connection: Connection, at: float, gauge: Gauge) -> None:
    """Write down that the queue stood so in the minute of a moment, in seconds since 1970 UTC, and in its hour."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    adding = insert(gauges)
    highest = {
        name: case((adding.excluded[name] > gauges.c[name], adding.excluded[name]), else_=gauges.c[name])
        for name in NAMES
    }
    adding = adding.on_conflict_do_update(index_elements=list(gauges.primary_key.columns), set_=highest)
    seen = msgspec.structs.asdict(gauge) | {"bus": bus_of(connection)}
    rows = [seen | {"width": width, "start": int(at // width) * width} for width in (MINUTE, HOUR)]
    connection.execute(adding, rows)


def gauges_of(connection: Connection, starts: range) -> dict[int, Gauge]:
    """Return what was written of the minutes or hours that began at these *starts*; the step is the width."""
    found = select(gauges.c.start, *(gauges.c[name] for name in NAMES)).where(
        ours(connection, gauges),
        gauges.c.width == starts.step,
        gauges.c.start >= starts.start,
        gauges.c.start < starts.stop,
    )
    return {start: Gauge(*values) for start, *values in connection.execute(found)}
