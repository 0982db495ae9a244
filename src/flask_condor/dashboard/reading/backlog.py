"""The backlog: what waits, is scheduled or runs, by queue, who works on it, and how long what is due has waited.

Each queue and priority is a stretch of one index; all is read from the ends of these, so it takes no longer for more.
"""

from __future__ import annotations

import json
import math
import typing as t
from collections.abc import Iterator
from collections.abc import Sequence
from heapq import merge
from itertools import islice
from operator import itemgetter

import msgspec
from sqlalchemy import ColumnElement
from sqlalchemy import and_
from sqlalchemy import func
from sqlalchemy import select
from sqlalchemy import tuple_
from sqlalchemy.engine import Connection
from sqlalchemy.engine import Row

from ...bus import ours
from ...claims import ALONE
from ...lanes import Lane
from ...lanes import Place
from ...log import clock
from ...models import PENDING
from ...models import RUNNING
from ...models import deliveries
from ...models import events
from ...models import workers
from ...presence import UNSEEN

MOST = 10_000
"""Up to how many rows are counted."""
MOST_LANES = 100
MOST_RUNNING = 1000
WAITS = (1.0, 10.0, 60.0, 600.0, 3600.0, math.inf)
"""The classes of waits, by their upper ends in seconds."""

OF_ONE = (
    *(deliveries.c.due_at, deliveries.c.id, deliveries.c.event_id, events.c.name, deliveries.c.job),
    *(deliveries.c.queue, deliveries.c.priority, deliveries.c.attempt, deliveries.c.worker, deliveries.c.started_at),
)


class Queue(msgspec.Struct):
    """One queue, with all its priorities; counts end at one more than :data:`MOST`."""

    name: str
    due: int = 0
    scheduled: int = 0
    running: int = 0
    oldest_due: float | None = None
    """Since when the delivery is due that waits longest."""
    next_due: float | None = None
    """When the next of those will be due that are not."""


class Working(msgspec.Struct, frozen=True):
    """A worker process, and what it runs."""

    id: str
    host: str
    pid: int
    threads: int
    queues: list[str]
    version: str | None
    """Of Flask-Condor."""
    started_at: float
    seen_at: float
    is_alive: bool
    running: list[Row[t.Any]]


def lanes_of(connection: Connection) -> Iterator[Lane]:
    """Return the queues and priorities that have pending deliveries, going from one to the next by the index."""
    columns = deliveries.c.queue, deliveries.c.priority
    first = select(*columns).where(PENDING, ours(connection, deliveries)).order_by(*columns).limit(1)
    row = connection.execute(first).first()
    for _ in range(MOST_LANES):
        if row is None:
            return
        yield row.queue, row.priority
        same = first.where(deliveries.c.queue == row.queue, deliveries.c.priority > row.priority)
        found = connection.execute(same).first()
        row = found or connection.execute(first.where(deliveries.c.queue > row.queue)).first()


def queues_of(connection: Connection, lanes: Sequence[Lane], running: Sequence[Row[t.Any]]) -> list[Queue]:
    """Return the queues that have anything pending or running, by name."""
    now, found = clock(connection), {name: Queue(name) for name, _ in lanes}
    for lane in lanes:
        queue, in_lane = found[lane[0]], in_lane_of(connection, lane)
        due, later = deliveries.c.due_at <= now, deliveries.c.due_at > now
        queue.due += count_some(connection, and_(in_lane, due))
        queue.scheduled += count_some(connection, and_(in_lane, later))
        first = select(func.min(deliveries.c.due_at))
        queue.oldest_due = least(queue.oldest_due, connection.scalar(first.where(in_lane, due)))
        queue.next_due = least(queue.next_due, connection.scalar(first.where(in_lane, later)))
    for row in running:
        found.setdefault(row.queue, Queue(row.queue)).running += 1
    return sorted(found.values(), key=lambda queue: queue.name)


def waits_of(connection: Connection, lanes: Sequence[Lane]) -> list[int]:
    """Return how many of those due now have waited for how long, by :data:`WAITS`; counts end as in :class:`Queue`."""
    now, counts = clock(connection), [0] * len(WAITS)
    for lane in lanes:
        low = 0.0
        for at, high in enumerate(WAITS):
            waited = and_(deliveries.c.due_at <= now - low, deliveries.c.due_at > now - min(high, 1e11))
            counts[at] += count_some(connection, and_(in_lane_of(connection, lane), waited))
            low = high
    return counts


def pending_of(
    connection: Connection, lanes: Sequence[Lane], *, is_due: bool, after: Place | None, most: int
) -> list[Row[t.Any]]:
    """Return the next *most* pending deliveries of some lanes that are due now, or that are not, the soonest first.

    :param after: only those behind this place.
    """
    now = clock(connection)
    in_time = deliveries.c.due_at <= now if is_due else deliveries.c.due_at > now
    found = select(*OF_ONE).join_from(deliveries, events).order_by(deliveries.c.due_at, deliveries.c.id).limit(most)
    if after is not None:
        place = tuple_(deliveries.c.due_at, deliveries.c.id)
        found = found.where(deliveries.c.due_at >= after[0], place > tuple_(*after))
    pages: list[Sequence[t.Any]] = [
        connection.execute(found.where(in_lane_of(connection, lane), in_time)).all() for lane in lanes
    ]
    return list(islice(merge(*pages, key=itemgetter(0, 1)), most))


def running_of(connection: Connection) -> list[Row[t.Any]]:
    """Return the deliveries that run, the one that has run longest first; no more than :data:`MOST_RUNNING`."""
    found: t.Any = select(*OF_ONE).join_from(deliveries, events)
    found = found.where(RUNNING, ours(connection, deliveries)).limit(MOST_RUNNING)
    return sorted(connection.execute(found).all(), key=lambda row: (row.started_at or 0.0, row.id))


def workers_of(connection: Connection, running: Sequence[Row[t.Any]]) -> list[Working]:
    """Return the workers that were seen in the last day, the last seen first."""
    now = clock(connection)
    by_worker: dict[str, list[Row[t.Any]]] = {}
    for row in running:
        by_worker.setdefault((row.worker or "").removesuffix(ALONE), []).append(row)
    found = select(workers).where(ours(connection, workers)).order_by(workers.c.seen_at.desc()).limit(MOST_RUNNING)
    return [
        Working(
            id=row.id,
            host=row.host,
            pid=row.pid,
            threads=row.threads,
            queues=json.loads(row.queues),
            version=row.version,
            started_at=row.started_at,
            seen_at=row.seen_at,
            is_alive=row.seen_at > now - UNSEEN,
            running=by_worker.get(row.id, []),
        )
        for row in connection.execute(found)
    ]


def count_some(connection: Connection, condition: ColumnElement[bool]) -> int:
    some = select(deliveries.c.id).where(condition).limit(MOST + 1).subquery()
    return connection.scalar(select(func.count()).select_from(some)) or 0


def in_lane_of(connection: Connection, lane: Lane) -> ColumnElement[bool]:
    queue, priority = lane
    of_lane = and_(deliveries.c.queue == queue, deliveries.c.priority == priority)
    return and_(PENDING, ours(connection, deliveries), of_lane)


def least(one: float | None, other: float | None) -> float | None:
    return min((at for at in (one, other) if at is not None), default=None)
