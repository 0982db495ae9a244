"""The prune: forgets what ended long ago, in small transactions, an event never without the deliveries that it had."""

from __future__ import annotations

import math
import typing as t
from collections.abc import Collection

import msgspec
from sqlalchemy import ColumnElement
from sqlalchemy import and_
from sqlalchemy import delete
from sqlalchemy import exists
from sqlalchemy import func
from sqlalchemy import or_
from sqlalchemy import select
from sqlalchemy import text
from sqlalchemy import tuple_
from sqlalchemy.engine import Connection

from .bus import ours
from .edge_models import rejections
from .edge_models import tokens
from .failures import forget_attempts
from .models import deliveries
from .models import events
from .rates import HOUR
from .rates import HOURS_KEPT
from .rates import MINUTE
from .rates import MINUTES_KEPT
from .trend_models import gauges
from .trend_models import waits

if t.TYPE_CHECKING:
    from .config import Config

DAY = 86_400.0
BATCH = 100
"""How many rows one transaction looks at: it keeps other writers waiting for some 10 ms on SQLite."""
REPLAY_WINDOW = 600.0
"""Seconds for which every event is kept: as long as a signed request may come again, from 300 s early to 300 s late."""
REJECTIONS_KEPT = 90 * DAY
"""Seconds for which it is kept how many requests were refused."""
PRUNING = 0x0C0D1
"""The PostgreSQL advisory lock under which one process at a time prunes."""

HAS_DELIVERIES = exists().where(deliveries.c.event_id == events.c.id)


class Retention(msgspec.Struct, frozen=True):
    """What is old: deliveries that ended before these moments, in seconds since 1970 UTC; None keeps them for ever."""

    done_before: float | None
    """Of deliveries done or cancelled, and of events that have none."""
    dead_before: float | None

    @classmethod
    def of(cls, config: Config, now: float) -> Retention:
        """Return what is old by the settings of an app."""
        done, dead = config.retention_done, config.retention_dead
        latest = now - REPLAY_WINDOW
        return cls(*(None if days is None else min(now - days * DAY, latest) for days in (done, dead)))

    def ended(self) -> ColumnElement[bool]:
        """Return the condition for deliveries that are old; one that has not ended never is."""
        ends = deliveries.c.finished_at
        return and_(
            ends.is_not(None),
            ends < max(self.done_before or 0.0, self.dead_before or 0.0),
            or_(
                and_(deliveries.c.state.in_(("done", "cancelled")), ends < (self.done_before or 0.0)),
                and_(deliveries.c.state == "dead", ends < (self.dead_before or 0.0)),
            ),
        )

    def idle(self) -> ColumnElement[bool]:
        """Return the condition for events that are old and have no delivery."""
        return and_(events.c.fired_at < (self.done_before or 0.0), ~HAS_DELIVERIES)


class Prune:
    """One pass over the log, from the oldest row on.

    A batch deletes all that is old of some events, with the event when nothing is left of it, in one transaction: a
    process that is killed has deleted all of a batch or nothing.
    """

    def __init__(self, retention: Retention) -> None:
        self._retention = retention
        self._at: tuple[t.Any, t.Any] = (-1.0, -1)
        self._steps = [self._deliveries, self._events]

    @property
    def is_over(self) -> bool:
        return not self._steps

    def count(self, connection: Connection) -> int:
        """Return how many deliveries, and events without any, there are to delete."""
        old = select(func.count()).select_from(deliveries).where(ours(connection, deliveries), self._retention.ended())
        idle = select(func.count()).select_from(events).where(ours(connection, events), self._retention.idle())
        return (connection.scalar(old) or 0) + (connection.scalar(idle) or 0)

    def batch(self, connection: Connection) -> int:
        """Delete the next batch, in the transaction of *connection*; return how many of what :meth:`count` counts."""
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": PRUNING})
        return self._steps[0](connection) if self._steps else 0

    def _deliveries(self, connection: Connection) -> int:
        ended = self._retention.ended()
        place = tuple_(deliveries.c.finished_at, deliveries.c.id)
        rows = connection.execute(
            select(deliveries.c.finished_at, deliveries.c.id, deliveries.c.event_id)
            .where(
                ours(connection, deliveries),
                ended,
                deliveries.c.finished_at >= self._at[0],
                place > tuple_(*self._at),
            )
            .order_by(deliveries.c.finished_at, deliveries.c.id)
            .limit(BATCH)
        ).all()
        if not rows:
            self._next_step()
            return 0
        self._at = rows[-1][:2]
        ids = {row.event_id for row in rows}
        # not by the bus, which is that of the event: SQLite would look for them among all that have ended
        gone = delete(deliveries).where(deliveries.c.event_id.in_(ids), ended).returning(deliveries.c.id)
        deleted = connection.scalars(gone).all()
        forget_attempts(connection, deleted)
        delete_events(connection, ids)
        return len(deleted)

    def _events(self, connection: Connection) -> int:
        place = tuple_(events.c.fired_at, events.c.id)
        rows = connection.execute(
            select(events.c.fired_at, events.c.id)
            .where(
                ours(connection, events),
                self._retention.idle(),
                events.c.fired_at >= self._at[0],
                place > tuple_(*self._at),
            )
            .order_by(events.c.fired_at, events.c.id)
            .limit(BATCH)
        ).all()
        if not rows:
            self._next_step()
            return 0
        self._at = t.cast("tuple[float, str]", tuple(rows[-1]))
        return delete_events(connection, [row.id for row in rows])

    def _next_step(self) -> None:
        self._steps.pop(0)
        self._at = (-1.0, "")


def delete_events(connection: Connection, ids: Collection[str]) -> int:
    """Delete those of the events that have no delivery: their ids are new again."""
    return connection.execute(delete(events).where(events.c.id.in_(ids), ~HAS_DELIVERIES)).rowcount


def prune_rejections(connection: Connection, now: float) -> int:
    """Delete the counts of refused requests that are older than 90 days; return how many rows."""
    old = rejections.c.start < math.ceil(now - REJECTIONS_KEPT)
    return connection.execute(delete(rejections).where(ours(connection, rejections), old)).rowcount


def prune_tokens(connection: Connection, before: float | None) -> int:
    """Delete the bearer tokens that expired, or were revoked, before a moment; return how many.

    :param before: seconds since 1970 UTC; None keeps them for ever.
    """
    if before is None:
        return 0
    ended = or_(tokens.c.revoked_at < before, tokens.c.expires_at < before)
    return connection.execute(delete(tokens).where(ours(connection, tokens), ended)).rowcount


def prune_trends(connection: Connection, now: float) -> int:
    """Delete the gauges and waits of minutes older than 2 days, and of hours older than 400; return how many rows."""
    kept = {MINUTE: MINUTES_KEPT, HOUR: HOURS_KEPT}
    count = 0
    for table in (gauges, waits):
        old = or_(
            *(and_(table.c.width == width, table.c.start < math.ceil(now - seconds)) for width, seconds in kept.items())
        )
        count += connection.execute(delete(table).where(ours(connection, table), old)).rowcount
    return count
