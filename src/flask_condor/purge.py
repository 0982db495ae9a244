"""The purge: deletes chosen deliveries that have ended, and their events when nothing else is left of them."""

from __future__ import annotations

import typing as t
from collections.abc import Sequence

from sqlalchemy import ColumnElement
from sqlalchemy import Select
from sqlalchemy import and_
from sqlalchemy import delete
from sqlalchemy import func
from sqlalchemy import select
from sqlalchemy import text
from sqlalchemy import true
from sqlalchemy import tuple_
from sqlalchemy.engine import Connection

from .bus import ours
from .counting import Counted
from .counting import count_some
from .failures import forget_attempts
from .history import is_job
from .models import deliveries
from .models import events
from .prune import HAS_DELIVERIES
from .prune import PRUNING
from .prune import delete_events

Finished = t.Literal["done", "dead", "cancelled"]
FINISHED: tuple[Finished, ...] = t.get_args(Finished)

BATCH = 100
"""How many rows one transaction deletes at most: it keeps other writers waiting for some 10 ms on SQLite."""
LOOKED_AT = 1000
"""How many it looks at: for few among many it takes no longer."""


class Purge:
    """One pass over what has ended, from what ended first on; never over what has not.

    :param before: only what ended before then, in seconds since 1970 UTC; of an event without deliveries, what was
        fired before. :param name: only deliveries of events of this name. :param job: only those of this job, by name
        or path. :param states: only those in these states; events that never had a delivery go only with all three,
        and without *job*.
    """

    def __init__(
        self, before: float, *, name: str | None, job: str | None, states: Sequence[Finished] = FINISHED
    ) -> None:
        of_name = select(events.c.name).where(events.c.id == deliveries.c.event_id).scalar_subquery()
        self._before = before
        self._chosen = and_(
            deliveries.c.state.in_(states),
            true() if name is None else of_name == name,
            true() if job is None else is_job(job),
        )
        self._idle = and_(~HAS_DELIVERIES, true() if name is None else events.c.name == name)
        self._steps = [self._deliveries]
        if job is None and set(states) == set(FINISHED):
            self._steps.append(self._events)
        self._step = 0
        self._at: tuple[t.Any, t.Any] = FIRST[0]

    @property
    def is_over(self) -> bool:
        return self._step >= len(self._steps)

    @property
    def place(self) -> list[t.Any]:
        """Where the next batch begins."""
        return [self._step, *self._at]

    @place.setter
    def place(self, place: Sequence[t.Any]) -> None:
        self._step, self._at = place[0], (place[1], place[2])

    def count(self, connection: Connection) -> int:
        """Return how many deliveries, and events without any, there are to delete."""
        found = select(func.count()).select_from(deliveries).where(self._ended(connection), self._chosen)
        count = connection.scalar(found) or 0
        if len(self._steps) == 1:
            return count
        idle = select(func.count()).select_from(events).where(self._fired(connection), self._idle)
        return count + (connection.scalar(idle) or 0)

    def count_some(self, connection: Connection) -> Counted:
        """Count as :meth:`count` does, as far as that is quick; where the deliveries are more already, only these."""
        counted = count_some(connection, self._looked_at(self._chosen, self._ended(connection)))
        if len(self._steps) == 1 or (counted.count and counted.is_more):
            return counted
        idle = select(self._idle.label("is_chosen")).where(self._fired(connection)).order_by(events.c.fired_at)
        return counted + count_some(connection, idle)

    def batch(self, connection: Connection) -> int:
        """Delete the next of them, in the transaction of *connection*; return how many of what :meth:`count` counts."""
        if self.is_over:
            return 0
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": PRUNING})
        return self._steps[self._step](connection)

    def _deliveries(self, connection: Connection) -> int:
        place = tuple_(deliveries.c.finished_at, deliveries.c.id)
        behind = and_(deliveries.c.finished_at >= self._at[0], place > tuple_(*self._at))
        found = self._looked_at(self._chosen, self._ended(connection), behind)
        found = found.add_columns(deliveries.c.finished_at, deliveries.c.id, deliveries.c.event_id)
        rows = self._next(connection.execute(found.limit(LOOKED_AT)).all())
        if not rows:
            return 0
        gone = delete(deliveries).where(deliveries.c.id.in_([row.id for row in rows]), self._chosen)
        ids = connection.scalars(gone.returning(deliveries.c.id)).all()
        forget_attempts(connection, ids)
        delete_events(connection, {row.event_id for row in rows})
        return len(ids)

    def _events(self, connection: Connection) -> int:
        place = tuple_(events.c.fired_at, events.c.id)
        found = select(self._idle.label("is_chosen"), events.c.fired_at, events.c.id).where(self._fired(connection))
        found = found.where(events.c.fired_at >= self._at[0], place > tuple_(*self._at))
        found = found.order_by(events.c.fired_at, events.c.id).limit(LOOKED_AT)
        rows = self._next(connection.execute(found).all())
        return delete_events(connection, {row.id for row in rows})

    def _next(self, rows: Sequence[t.Any]) -> list[t.Any]:
        """Note up to where *rows* were looked at, and return those of them that are chosen, a batch at most."""
        if not rows:
            self._step += 1
            self._at = FIRST[min(self._step, 1)]
            return []
        chosen = [row for row in rows if row.is_chosen]
        self._at = (chosen[BATCH - 1] if len(chosen) > BATCH else rows[-1])[1:3]
        return chosen[:BATCH]

    def _looked_at(self, chosen: ColumnElement[bool], *conditions: ColumnElement[bool]) -> Select[t.Any]:
        found = select(chosen.label("is_chosen")).where(*conditions)
        return found.order_by(deliveries.c.finished_at, deliveries.c.id)

    def _ended(self, connection: Connection) -> ColumnElement[bool]:
        ends = deliveries.c.finished_at
        return and_(ours(connection, deliveries), ends.is_not(None), ends < self._before)

    def _fired(self, connection: Connection) -> ColumnElement[bool]:
        return and_(ours(connection, events), events.c.fired_at < self._before)


FIRST = ((-1.0, -1), (-1.0, ""))
"""Before all deliveries, and before all events."""
