"""A glance at the event log: what waits, what failed last, and what was refused, each read from one end of an index."""

from __future__ import annotations

import msgspec
from sqlalchemy import Integer
from sqlalchemy import cast
from sqlalchemy import func
from sqlalchemy import select
from sqlalchemy.engine import Connection

from ...bus import ours
from ...edge_models import rejections
from ...gauges import MOST
from ...gauges import count_some
from ...gauges import oldest_due
from ...log import clock
from ...models import DEAD
from ...models import PENDING
from ...models import deliveries
from ...models import events
from ...models import workers
from ...presence import UNSEEN


class Waiting(msgspec.Struct, frozen=True):
    """What waits, and who works on it."""

    pending: int
    """One more than :data:`MOST` when there are more."""
    oldest_due: float | None
    """Since when the delivery is due that waits longest; None when none is due."""
    workers: int
    """Those seen lately."""
    seen_at: float | None
    """When any was seen last."""
    dead: int
    """As :attr:`pending`."""


class Failed(msgspec.Struct, frozen=True):
    """A delivery that is dead."""

    id: int
    event_id: str
    name: str
    job: str
    run: str
    attempt: int
    finished_at: float | None
    error: str | None


def waiting(connection: Connection) -> Waiting:
    """Return what waits now."""
    now = clock(connection)
    alive, seen = connection.execute(
        select(func.count().filter(workers.c.seen_at > now - UNSEEN), func.max(workers.c.seen_at)).where(
            ours(connection, workers)
        )
    ).one()
    return Waiting(
        count_some(connection, PENDING),
        oldest_due(connection, now),
        alive,
        seen,
        count_some(connection, DEAD),
    )


def fired_in(connection: Connection, since: float, until: float, parts: int) -> list[int]:
    """Return how many of the newest :data:`MOST` and one events of a time were fired in each of so many equal parts."""
    found = select(events.c.fired_at).where(
        ours(connection, events), events.c.fired_at >= since, events.c.fired_at < until
    )
    newest = found.order_by(events.c.fired_at.desc()).limit(MOST + 1).subquery()
    at = (newest.c.fired_at - since) * (parts / (until - since))
    part = cast(at if connection.dialect.name == "sqlite" else func.floor(at), Integer)  # PostgreSQL's CAST rounds
    counts = [0] * parts
    for number, fired in connection.execute(select(part, func.count()).select_from(newest).group_by(part)):
        counts[min(number, parts - 1)] += fired
    return counts


def count_fired(connection: Connection, since: float, until: float) -> int:
    """Return how many events were fired in a time; at most one more than :data:`MOST`."""
    in_time = events.c.fired_at >= since, events.c.fired_at < until
    some = select(events.c.fired_at).where(ours(connection, events), *in_time).limit(MOST + 1).subquery()
    return connection.scalar(select(func.count()).select_from(some)) or 0


def newest_failures(connection: Connection, most: int) -> list[Failed]:
    """Return the dead deliveries that were written last."""
    of_delivery = [deliveries.c[field] for field in ("job", "run", "attempt", "finished_at", "error")]
    found = select(deliveries.c.id, deliveries.c.event_id, events.c.name, *of_delivery).join_from(deliveries, events)
    newest = found.where(DEAD, ours(connection, deliveries)).order_by(deliveries.c.id.desc()).limit(most)
    return [Failed(*row) for row in connection.execute(newest)]


def count_rejected(connection: Connection, since: float) -> int:
    """Return how many requests the ingress has refused in the hours that began *since*."""
    refused = select(func.sum(rejections.c.count)).where(ours(connection, rejections), rejections.c.start >= int(since))
    return int(connection.scalar(refused) or 0)
