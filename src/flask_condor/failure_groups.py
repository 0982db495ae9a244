"""The failure groups: which failures there are, how often each was met, and what became of its runs."""

from __future__ import annotations

import math
import typing as t
from collections.abc import Collection

import msgspec
from sqlalchemy import ColumnElement
from sqlalchemy import Integer
from sqlalchemy import and_
from sqlalchemy import bindparam
from sqlalchemy import exists
from sqlalchemy import func
from sqlalchemy import literal_column
from sqlalchemy import select
from sqlalchemy import text
from sqlalchemy import true
from sqlalchemy import tuple_
from sqlalchemy.engine import Connection

from .bus import bus_of
from .bus import ours
from .history import is_named
from .models import attempts
from .models import deliveries
from .models import events
from .models import failure_counts
from .models import failures
from .rates import FOREVER
from .rates import HOUR

Order = t.Literal["last", "first", "runs"]
"""By which failures are sorted, downwards: when they were seen last or first, or how many runs failed so."""

SORTED = 10_000
"""How many failures are sorted by another order than the last seen: those seen last."""
LATEST = 100
"""How many of the latest attempts of a failure are looked at to tell what became of their runs."""
MANY = 1000
"""How many dead deliveries of a failure are counted; more are told as many."""


class Group(msgspec.Struct, frozen=True):
    """Failures that are alike."""

    id: int
    job: str
    error_type: str
    frame: str
    """Where in the app's own code they came from, as "module:function"."""
    first_seen: float
    last_seen: float
    runs: int
    """How many runs failed so, ever."""
    muted_at: float | None
    note: str
    """Why it is muted."""

    @property
    def is_muted(self) -> bool:
        return self.muted_at is not None


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which failures are wanted: those that meet all that is not None."""

    since: float | None = None
    """Seen since then; the times are seconds since 1970 UTC."""
    until: float | None = None
    """Seen before then."""
    job: str | None = None
    """The name of a job, or its path ("module:qualname")."""
    name: str | None = None
    """That of an event at which it was seen, in the hours of that time."""
    error_type: str | None = None
    """The class of the exception, with its module or without."""
    is_muted: bool | None = None

    def condition(self, connection: Connection) -> ColumnElement[bool]:
        """Return it for a statement that selects failures."""
        conditions = [ours(connection, failures)]
        if self.since is not None:
            conditions.append(failures.c.last_seen >= self.since)
        if self.until is not None:
            conditions.append(failures.c.first_seen < self.until)
        if self.job is not None:
            conditions.append(is_named(failures.c.job, self.job, ":"))
        if self.error_type is not None:
            conditions.append(is_named(failures.c.error_type, self.error_type, "."))
        if self.is_muted is not None:
            conditions.append(failures.c.muted_at.is_not(None) if self.is_muted else failures.c.muted_at.is_(None))
        if self.name is not None:
            conditions.append(self._at_event(self.name))
        return and_(*conditions)

    def _at_event(self, name: str) -> ColumnElement[bool]:
        counted = exists().where(failure_counts.c.failure_id == failures.c.id, failure_counts.c.name == name)
        return counted.where(in_hours(self.since or 0.0, FOREVER if self.until is None else self.until))


class Became(msgspec.Struct, frozen=True):
    """What became of the runs of a failure."""

    dead: int
    """How many deliveries are dead by it now and can be retried; at most the number that was asked for."""
    looked_at: int
    """How many of its latest attempts were looked at."""
    recovered: int
    """How many of these were of deliveries that are done now."""


class RunNow(msgspec.Struct, frozen=True):
    """A delivery as it is now."""

    state: str
    attempt: int
    due_at: float


class Attempt(msgspec.Struct, frozen=True):
    """An attempt of a failure, with its delivery and event as they are now."""

    run: RunNow
    id: int
    delivery: int
    attempt: int
    outcome: str
    worker: str | None
    started_at: float | None
    ended_at: float
    error: str | None
    event_id: str
    name: str


OF_GROUP = [failures.c[field] for field in Group.__struct_fields__]
OF_ATTEMPT = (
    *(attempts.c.id, attempts.c.delivery_id, attempts.c.attempt, attempts.c.outcome, attempts.c.worker),
    *(attempts.c.started_at, attempts.c.ended_at, attempts.c.error, deliveries.c.event_id, events.c.name),
)
OF_RUN_NOW = (deliveries.c.state, deliveries.c.attempt, deliveries.c.due_at)
KEYS = {"last": failures.c.last_seen, "first": failures.c.first_seen, "runs": failures.c.runs}

BECAME = text("""
SELECT failure.id,
    (SELECT count(*) FROM (
        SELECT 1 FROM condor_deliveries AS dead
        WHERE dead.state = 'dead' AND dead.bus = :bus AND dead.failure_id = failure.id AND dead.run = 'queued'
        LIMIT :many
    ) AS part) AS dead,
    (SELECT count(*) FROM (
        SELECT 1 FROM condor_attempts AS attempt WHERE attempt.failure_id = failure.id LIMIT :latest
    ) AS part) AS looked_at,
    (SELECT count(*) FROM (
        SELECT attempt.delivery_id FROM condor_attempts AS attempt
        WHERE attempt.failure_id = failure.id ORDER BY attempt.ended_at DESC, attempt.id DESC LIMIT :latest
    ) AS part JOIN condor_deliveries AS run ON run.id = part.delivery_id WHERE run.state = 'done') AS recovered
FROM condor_failures AS failure WHERE failure.id IN :ids AND failure.bus = :bus
""").bindparams(bindparam("ids", expanding=True))
"""Each count ends at its limit, however large a failure is."""


def groups(
    connection: Connection,
    wanted: Wanted,
    most: int,
    *,
    order: Order = "last",
    before: tuple[float, int] | None = None,
) -> list[Group]:
    """Return the first *most* of the *wanted* failures.

    :param before: only those that come after this place: the value that *order* sorts by, and the number.
    """
    key, condition = KEYS[order], wanted.condition(connection)
    found = select(*OF_GROUP).where(condition)
    if order != "last":
        latest = select(failures.c.id).where(condition).order_by(failures.c.last_seen.desc(), failures.c.id.desc())
        found = select(*OF_GROUP).where(failures.c.id.in_(latest.limit(SORTED)))
    if before is not None:
        found = found.where(key <= before[0], tuple_(key, failures.c.id) < tuple_(*before))
    return [Group(*row) for row in connection.execute(found.order_by(key.desc(), failures.c.id.desc()).limit(most))]


def group_of(connection: Connection, id: int) -> Group | None:
    """Return the failure with that number; None when there is none."""
    row = connection.execute(select(*OF_GROUP).where(ours(connection, failures), failures.c.id == id)).one_or_none()
    return None if row is None else Group(*row)


def runs_over_time(
    connection: Connection, ids: Collection[int], since: float, until: float = FOREVER, *, width: int = HOUR
) -> dict[int, dict[int, int]]:
    """Return how many runs of each failure there were in each *width* seconds of a time, whole hours, by its start."""
    start = failure_counts.c.start - failure_counts.c.start % literal_column(str(int(width)), Integer)
    rows = connection.execute(
        select(failure_counts.c.failure_id, start, func.sum(failure_counts.c.runs))
        .where(failure_counts.c.failure_id.in_(ids), in_hours(since, until))
        .group_by(failure_counts.c.failure_id, start)
        .order_by(failure_counts.c.failure_id, start)
    )
    found: dict[int, dict[int, int]] = {}
    for id, began, runs in rows:
        found.setdefault(id, {})[began] = int(runs)
    return found


def events_of(
    connection: Connection, ids: Collection[int], since: float, until: float = FOREVER
) -> dict[int, dict[str, int]]:
    """Return at events of which names each failure was seen in the hours of a time, and how often, the most first."""
    runs = func.sum(failure_counts.c.runs)
    rows = connection.execute(
        select(failure_counts.c.failure_id, failure_counts.c.name, runs)
        .where(failure_counts.c.failure_id.in_(ids), in_hours(since, until))
        .group_by(failure_counts.c.failure_id, failure_counts.c.name)
        .order_by(failure_counts.c.failure_id, runs.desc(), failure_counts.c.name)
    )
    found: dict[int, dict[str, int]] = {}
    for id, name, count in rows:
        found.setdefault(id, {})[name] = int(count)
    return found


def in_hours(since: float, until: float) -> ColumnElement[bool]:
    """Return the condition for the counts of the hours that began in a time, or held its beginning."""
    begun = failure_counts.c.start >= int(since // HOUR) * HOUR
    return and_(begun, true() if until == FOREVER else failure_counts.c.start < math.ceil(until))


def became_of(
    connection: Connection, ids: Collection[int], *, latest: int = LATEST, many: int = MANY
) -> dict[int, Became]:
    """Return what became of the runs of failures: of the *latest* attempts of each, and of at most *many* dead."""
    values = {"ids": sorted(ids), "bus": bus_of(connection), "latest": latest, "many": many}
    return {row.id: Became(row.dead, row.looked_at, row.recovered) for row in connection.execute(BECAME, values)}


def attempts_in(connection: Connection, id: int, most: int, before: tuple[float, int] | None = None) -> list[Attempt]:
    """Return the newest *most* attempts of the failure with that number, newest first.

    :param before: only those older than the attempt with this ``ended_at`` and ``id``.
    """
    joined = attempts.join(deliveries, deliveries.c.id == attempts.c.delivery_id).join(events)
    found = (
        select(*OF_RUN_NOW, *OF_ATTEMPT)
        .select_from(joined)
        .where(attempts.c.failure_id == id, ours(connection, deliveries))
    )
    if before is not None:
        found = found.where(
            attempts.c.ended_at <= before[0], tuple_(attempts.c.ended_at, attempts.c.id) < tuple_(*before)
        )
    newest = found.order_by(attempts.c.ended_at.desc(), attempts.c.id.desc())
    width = len(OF_RUN_NOW)
    return [Attempt(RunNow(*row[:width]), *row[width:]) for row in connection.execute(newest.limit(most))]
