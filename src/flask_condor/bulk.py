"""The bulk: retries or replays many, in short transactions, each by the very functions that do it for one."""

from __future__ import annotations

import time
import typing as t
from collections.abc import Callable
from collections.abc import Sequence

from sqlalchemy import ColumnElement
from sqlalchemy import and_
from sqlalchemy import func
from sqlalchemy import not_
from sqlalchemy import select
from sqlalchemy import true
from sqlalchemy import tuple_
from sqlalchemy.engine import Connection

from .bus import ours
from .counting import Counted
from .counting import count_some
from .errors import OperationRefused
from .event import Family
from .event import Origin
from .faults import PayloadInvalid
from .history import is_job
from .models import DEAD
from .models import deliveries
from .models import events
from .operations import IS_QUEUED
from .operations import RETRYABLE
from .operations import jobs_to_run
from .operations import make_pending
from .operations import replay
from .redacting import REPLAYABLE

if t.TYPE_CHECKING:
    from .registry import Registry

RETRIES = 500
"""How many deliveries one transaction retries: it keeps other writers waiting for some 20 ms on SQLite."""
REPLAYS = 50
"""How many events one transaction replays: likewise."""


class RetryDead:
    """One pass over the dead deliveries of queued jobs, from the oldest on; each is retried at most once.

    :param name: only those of events of this name. :param job: only those of this job, by name or path.
    :param failure: only those whose last error is of the failure with this number.
    """

    def __init__(self, name: str | None, job: str | None, actor: str, *, failure: int | None = None) -> None:
        of_name = select(events.c.name).where(events.c.id == deliveries.c.event_id).scalar_subquery()
        named: ColumnElement[bool] = true() if name is None else of_name == name
        alike: ColumnElement[bool] = true() if failure is None else deliveries.c.failure_id == failure
        self._dead = and_(DEAD, alike)
        self._chosen = and_(IS_QUEUED, named, true() if job is None else is_job(job))
        self._actor = actor
        self._at = 0
        self._last = 0
        self.is_over = False

    def count(self, connection: Connection) -> int:
        """Return how many there are; those that die later are none of them."""
        counted = select(func.count(), func.max(deliveries.c.id)).where(
            ours(connection, deliveries), self._dead, self._chosen
        )
        counted = counted.where(deliveries.c.id <= self._last) if self._last else counted
        count, last = connection.execute(counted).one()
        self._last = self._last or last or 0
        return int(count)

    def count_some(self, connection: Connection) -> Counted:
        """Count as :meth:`count` does, as far as that is quick: what is dead is in an index, with what is looked at."""
        self._last = connection.scalar(select(func.max(deliveries.c.id))) or 0
        dead = select(self._chosen.label("is_chosen")).where(ours(connection, deliveries), self._dead)
        return count_some(connection, dead.order_by(deliveries.c.id))

    @property
    def place(self) -> list[int]:
        """Where the next batch begins, and where the last ends."""
        return [self._at, self._last]

    @place.setter
    def place(self, place: Sequence[int]) -> None:
        self._at, self._last = place

    def batch(self, connection: Connection) -> int:
        """Retry the next of them, in the transaction of *connection*; return how many were moved."""
        found = select(deliveries.c.id).where(ours(connection, deliveries), self._dead, self._chosen)
        found = found.where(deliveries.c.id > self._at, deliveries.c.id <= self._last)
        ids = list(connection.scalars(found.order_by(deliveries.c.id).limit(RETRIES)))
        if not ids:
            self.is_over = True
            return 0
        moved = make_pending(connection, deliveries.c.id.in_(ids), RETRYABLE, self._actor)
        self._at = ids[-1]
        return len(moved)


class ReplayFired:
    """One pass over the events of a name that were fired in a time, from the oldest on; replays are not replayed.

    :param jobs: as for :func:`~flask_condor.operations.replay`.
    :param new_id: gives each new event its id, by that of the old one; what cannot be replayed is then left out.
    :raises OperationRefused: when *name* has no such job.
    """

    def __init__(  # noqa: PLR0913  # the last three by keyword
        self,
        registry: Registry,
        name: str,
        since: float | None,
        until: float | None,
        *,
        jobs: Sequence[object] | None,
        actor: str,
        new_id: Callable[[str], str] | None = None,
    ) -> None:
        self._jobs = [job.path for job in jobs_to_run(registry, name, jobs)]
        self._registry = registry
        self._actor = actor
        self._new_id = new_id
        self.left_out: list[str] = []
        """Why events were left out, a sentence for each."""
        self._until = time.time() if until is None else until
        began = events.c.fired_at >= (0.0 if since is None else since)
        self._in_time = and_(began, events.c.fired_at < self._until)
        self._chosen = and_(events.c.name == name, self._in_time, events.c.replay_of.is_(None))
        self._at: tuple[float, str] = (0.0 if since is None else since, "")
        self.is_over = False

    @property
    def rest(self) -> tuple[float, float]:
        """The time in which those were fired that are still to be replayed, its ends exact to the microsecond."""
        return self._at[0] if not self._at[1] else (microsecond(self._at[0]) + 1) / 1e6, self._until

    def count(self, connection: Connection) -> int:
        """Return how many there are that can be replayed."""
        return connection.scalar(select(func.count()).where(ours(connection, events), self._chosen, REPLAYABLE)) or 0

    def count_some(self, connection: Connection) -> Counted:
        """Count as :meth:`count` does, as far as that is quick."""
        chosen = and_(self._chosen, events.c.is_replayable).label("is_chosen")
        in_time = select(chosen).where(ours(connection, events), self._in_time)
        return count_some(connection, in_time.order_by(events.c.fired_at, events.c.id))

    @property
    def place(self) -> list[t.Any]:
        """Where the next batch begins."""
        return list(self._at)

    @place.setter
    def place(self, place: Sequence[t.Any]) -> None:
        self._at = (place[0], place[1])

    def count_lost(self, connection: Connection) -> int:
        """Return how many cannot be replayed, as their payload was no JSON, or was redacted."""
        return (
            connection.scalar(select(func.count()).where(ours(connection, events), self._chosen, not_(REPLAYABLE))) or 0
        )

    def batch(self, connection: Connection) -> int:
        """Replay the next of them, in the transaction of *connection*; return how many."""
        place = tuple_(events.c.fired_at, events.c.id)
        found = select(events.c.fired_at, events.c.id).where(self._chosen, REPLAYABLE)
        found = found.where(ours(connection, events), events.c.fired_at >= self._at[0], place > tuple_(*self._at))
        rows = connection.execute(found.order_by(events.c.fired_at, events.c.id).limit(REPLAYS + 1)).all()
        page = whole_microseconds(rows)
        done = sum(self._replay(connection, row.id) for row in page)
        if page:
            self._at = (page[-1].fired_at, page[-1].id)
        self.is_over = not page
        return done

    def _replay(self, connection: Connection, id: str) -> bool:
        new_id = self._new_id(id) if self._new_id else ""
        origin = Origin("cli", None, (), Family())
        try:
            replay(connection, self._registry, id, self._jobs, id=new_id, origin=origin, actor=self._actor)
        except (OperationRefused, PayloadInvalid) as error:
            if self._new_id is None:
                raise
            self.left_out.append(f"event {id}: {error}")
            return False
        return True


def whole_microseconds(rows: Sequence[t.Any]) -> Sequence[t.Any]:
    """Return the first :data:`REPLAYS` rows, or fewer, so that those of a microsecond stay together.

    A pass that ended between two of them could not be told to go on with the second.
    """
    page = rows[:REPLAYS]
    if len(rows) > REPLAYS:
        following = microsecond(rows[REPLAYS].fired_at)
        page = [row for row in page if microsecond(row.fired_at) < following] or page
    return page


def microsecond(at: float) -> int:
    """Return the microsecond that *at* is in, such that ``microsecond / 1e6 <= at`` holds of the floats as well."""
    near = round(at * 1e6)
    return near if near / 1e6 <= at else near - 1
