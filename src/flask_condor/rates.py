"""The rates: how many runs of each job ended how, and how long they took, per minute and per hour.

Written in the very transaction that finishes the deliveries, so they are exact after a crash, without cron.
"""

from __future__ import annotations

import math
import typing as t
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence

import msgspec
from sqlalchemy import ColumnElement
from sqlalchemy import and_
from sqlalchemy import delete
from sqlalchemy import func
from sqlalchemy import select
from sqlalchemy import text
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Connection

from .bus import bus_of
from .bus import ours
from .models import deliveries
from .models import events
from .models import rates

Outcome = t.Literal["done", "failed", "dead", "lost"]
Width = t.Literal[0, 60, 3600]

MINUTE: Width = 60
HOUR: Width = 3600
EVER: Width = 0
"""The width of the rows, with 0 as their start, in which hours that are pruned are added up."""
HOURS_KEPT = 400 * 24 * 3600
"""Seconds for which hour rows are kept: a year can be compared with the one before."""
MINUTES_KEPT = 2 * 24 * 3600
"""Seconds for which minute rows are kept."""
SHORTEST = 1e-6
"""Seconds: the upper end of the first class of durations."""
GROWTH = 1.2
"""How much wider each class of durations is than the one before it; its middle is within 10 % of all in it."""
FOREVER = math.inf

KEY = rates.c.name, rates.c.job, rates.c.outcome, rates.c.bucket

Row = tuple[int, int, str, str, str, int]
"""The key of a row on its bus: width, start, name, job, outcome, bucket."""


class Finished(msgspec.Struct, frozen=True, gc=False):
    """One run of a job that has ended.

    :param name: the name of the event. :param job: the path of the job, "module:qualname".
    :param outcome: "failed" when it will be tried again; "lost" when its worker was.
    :param at: when it ended, the ``finished_at`` of its delivery where it has one; seconds since 1970 UTC.
    :param seconds: how long it took.
    """

    name: str
    job: str
    outcome: Outcome
    at: float
    seconds: float


class Total(msgspec.Struct, frozen=True):
    """How many runs of one job ended in one way, and how many seconds they took in all."""

    name: str
    job: str
    outcome: Outcome
    runs: int
    seconds: float


class Sum(msgspec.Struct, frozen=True):
    """How many runs of one job ever ended in one way, with a duration of one class."""

    name: str
    job: str
    outcome: Outcome
    bucket: int
    runs: int
    seconds: float


def add_runs(connection: Connection, runs: Sequence[Finished]) -> None:
    """Count *runs*, in the transaction of *connection*.

    Call it once per transaction, as its last statement: the rows are locked until the commit, and every transaction
    takes them in the same order, so that two cannot wait for one another.
    """
    upsert(connection, grouped(runs, (MINUTE, HOUR)))


def grouped(runs: Iterable[Finished], widths: Sequence[int]) -> dict[Row, tuple[int, float]]:
    per_minute: dict[tuple[int, str, str, str, int], tuple[int, float]] = {}
    for run in runs:
        seconds = max(run.seconds, 0.0)
        key = int(run.at // MINUTE), run.name, run.job, run.outcome, bucket_of(seconds)
        count, total = per_minute.get(key, (0, 0.0))
        per_minute[key] = count + 1, total + seconds
    sums: dict[Row, tuple[int, float]] = {}
    for (minute, *rest), (runs_in_it, seconds) in per_minute.items():
        for width in widths:
            row = t.cast(Row, (width, minute * MINUTE // width * width, *rest))
            count, total = sums.get(row, (0, 0.0))
            sums[row] = count + runs_in_it, total + seconds
    return sums


def upsert(connection: Connection, sums: Mapping[Row, tuple[int, float]]) -> None:
    if not sums:
        return
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    adding = insert(rates)
    adding = adding.on_conflict_do_update(
        index_elements=list(rates.primary_key.columns),
        set_={"runs": rates.c.runs + adding.excluded.runs, "seconds": rates.c.seconds + adding.excluded.seconds},
    )
    names, bus = rates.columns.keys(), bus_of(connection)
    connection.execute(adding, [dict(zip(names, (bus, *key, *sums[key]), strict=True)) for key in sorted(sums)])


def bucket_of(seconds: float) -> int:
    """Return the class of a duration: 0 up to a microsecond, then 13 classes to a power of ten."""
    return math.ceil(math.log(seconds / SHORTEST, GROWTH)) if seconds > SHORTEST else 0


def percentiles(buckets: Mapping[int, int], shares: Sequence[float]) -> tuple[float, ...]:
    """Return the duration, in seconds, below which each of *shares* (0.5, 0.95) of the runs ended.

    :param buckets: how many runs fell into each class; at least one. Right within 10 % of the true duration, above a
        microsecond.
    """
    ranks = [max(1, math.ceil(share * sum(buckets.values()))) for share in shares]
    reached, found = 0, dict.fromkeys(ranks, 0.0)
    for bucket, runs in sorted(buckets.items()):
        found |= {rank: SHORTEST * GROWTH ** (bucket - 0.5) for rank in ranks if reached < rank <= reached + runs}
        reached += runs
    return tuple(found[rank] for rank in ranks)


def totals(connection: Connection, since: float, until: float = FOREVER, *, width: Width = HOUR) -> list[Total]:
    """Return what each job did from *since* to *until* (seconds since 1970 UTC), by event name, job and outcome.

    Counts whole rows: those whose minute or hour began in that time, or held *since*. Minutes are kept for 2 days.
    """
    rows = connection.execute(
        select(rates.c.name, rates.c.job, rates.c.outcome, func.sum(rates.c.runs), func.sum(rates.c.seconds))
        .where(ours(connection, rates), in_time(since, until, width))
        .group_by(rates.c.name, rates.c.job, rates.c.outcome)
        .order_by(rates.c.name, rates.c.job, rates.c.outcome)
    )
    return [Total(name, job, outcome, int(runs), seconds) for name, job, outcome, runs, seconds in rows]


def durations(
    connection: Connection, since: float, until: float = FOREVER, *, width: Width = HOUR
) -> dict[tuple[str, str], dict[int, int]]:
    """Return how many runs of each (event name, job) fell into each class, for :func:`percentiles`; no lost ones."""
    rows = connection.execute(
        select(rates.c.name, rates.c.job, rates.c.bucket, func.sum(rates.c.runs))
        .where(ours(connection, rates), in_time(since, until, width), rates.c.outcome != "lost")
        .group_by(rates.c.name, rates.c.job, rates.c.bucket)
    )
    found: dict[tuple[str, str], dict[int, int]] = {}
    for name, job, bucket, runs in rows:
        found.setdefault((name, job), {})[bucket] = int(runs)
    return found


def in_time(since: float, until: float, width: Width) -> ColumnElement[bool]:
    first = int(since // width) * width
    begun = and_(rates.c.width == width, rates.c.start >= first)
    return begun if until == FOREVER else and_(begun, rates.c.start < math.ceil(until))


def prune_rates(connection: Connection, now: float, hours_kept: float) -> int:
    """Delete the minutes older than 2 days, and the hours older than *hours_kept* seconds; return how many rows.

    The hours are added to those of the width ``EVER``, so that :func:`ever` never falls.
    """
    old_minutes = and_(rates.c.width == MINUTE, rates.c.start < math.ceil(now - MINUTES_KEPT))
    old_hours = and_(rates.c.width == HOUR, rates.c.start < math.ceil(now - hours_kept))
    minutes = connection.execute(delete(rates).where(ours(connection, rates), old_minutes)).rowcount
    hours = connection.execute(
        delete(rates).where(ours(connection, rates), old_hours).returning(*KEY, rates.c.runs, rates.c.seconds)
    ).all()
    sums: dict[Row, tuple[int, float]] = {}
    for name, job, outcome, bucket, runs, seconds in hours:
        row = EVER, 0, name, job, outcome, bucket
        count, total = sums.get(row, (0, 0.0))
        sums[row] = count + runs, total + seconds
    upsert(connection, sums)
    return minutes + len(hours)


def ever(connection: Connection) -> list[Sum]:
    """Return what each job did since the event log was made; it falls only when the rates are rebuilt."""
    rows = connection.execute(
        select(*KEY, func.sum(rates.c.runs), func.sum(rates.c.seconds))
        .where(ours(connection, rates), rates.c.width.in_((HOUR, EVER)))
        .group_by(*KEY)
    )
    return [Sum(name, job, outcome, bucket, int(runs), seconds) for name, job, outcome, bucket, runs, seconds in rows]


def rebuild(connection: Connection, now: float) -> int:
    """Count the final outcomes anew from the deliveries in the log, in one transaction; return how many there are.

    What is restored: ``done`` and ``dead``, since the oldest delivery that still is in the log (minutes: of the last
    2 days, hours: of the last 400). What is not, as no delivery keeps it, and so stays as it was: ``failed`` and
    ``lost`` attempts, and hours whose deliveries were pruned; the oldest hour may lack some. A dead delivery that was
    retried counts once, as what became of it. Durations then are from the claim to the finish, so those of short jobs
    include the wait for a thread. On SQLite nobody else can write meanwhile.

    :param now: seconds since 1970 UTC.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("LOCK TABLE condor_rates IN SHARE ROW EXCLUSIVE MODE"))
    oldest = select(deliveries.c.state, func.min(deliveries.c.finished_at)).where(
        ours(connection, deliveries), deliveries.c.finished_at.is_not(None), deliveries.c.state.in_(("done", "dead"))
    )
    first = int((now - HOURS_KEPT) // HOUR + 1) * HOUR
    for outcome, at in connection.execute(oldest.group_by(deliveries.c.state)).all():
        since = max(first, int(at // HOUR) * HOUR)
        connection.execute(
            delete(rates).where(ours(connection, rates), rates.c.outcome == outcome, rates.c.start >= since)
        )
    ended = (
        select(events.c.name, deliveries.c.job, deliveries.c.state, deliveries.c.finished_at, deliveries.c.started_at)
        .join(events, events.c.id == deliveries.c.event_id)
        .where(ours(connection, deliveries), deliveries.c.finished_at >= first)
        .where(deliveries.c.state.in_(("done", "dead")))
        .execution_options(yield_per=1000)
    )
    sums: dict[Row, tuple[int, float]] = {}
    counted = 0
    for name, job, state, at, started in connection.execute(ended):
        run = Finished(name, job, state, at, at - (at if started is None else started))
        widths = (MINUTE, HOUR) if at >= now - MINUTES_KEPT else (HOUR,)
        for key, (runs, seconds) in grouped((run,), widths).items():
            count, total = sums.get(key, (0, 0.0))
            sums[key] = count + runs, total + seconds
        counted += 1
    upsert(connection, sums)
    return counted
