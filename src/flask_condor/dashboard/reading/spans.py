"""The spans: what the rates tell of each minute or hour, read once in a process for those that are over."""

from __future__ import annotations

import time
import typing as t
from weakref import WeakKeyDictionary

import msgspec
from sqlalchemy import func
from sqlalchemy import select
from sqlalchemy.engine import Connection
from sqlalchemy.engine import Engine

from ...bus import bus_of
from ...bus import ours
from ...models import rates
from ...rates import Width
from ...rates import in_time

SETTLED = 120.0
"""Seconds after its end from which on a span is taken to be whole: a run is counted a moment after it ended."""
REREAD = 600.0
"""Seconds after which a span is read anew in any case, as the rates can be rebuilt."""
MOST_KEPT = 1000
"""How many spans are kept of each log, some 10 kB each where 50 events have two jobs each."""


class Span(msgspec.Struct, eq=False):
    """How the runs ended in one minute or hour, and how long they took; lost ones have no duration."""

    names: dict[tuple[str, str], int] = {}
    """How many, by the event's name and the outcome."""
    jobs: dict[tuple[str, int], int] = {}
    """How many, by the job and the class of the duration."""
    outcomes: dict[str, int] = {}
    buckets: dict[int, int] = {}

    def add_name(self, name: str, outcome: str, runs: int) -> None:
        """Count runs at the events of a name."""
        self.names[name, outcome] = runs
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + runs

    def add_job(self, job: str, bucket: int, runs: int) -> None:
        """Count runs of a job."""
        self.jobs[job, bucket] = runs
        self.buckets[bucket] = self.buckets.get(bucket, 0) + runs


Key = tuple[str, int, int]
"""The bus, the width and the start of a span."""
known: WeakKeyDictionary[Engine, dict[Key, tuple[float, Span]]] = WeakKeyDictionary()
"""The spans that are over, each with when it was read, by the monotonic clock."""


def spans(connection: Connection, starts: range, now: float) -> dict[int, Span]:
    """Return the spans of these *starts*, in their order; the step is the width.

    :param now: seconds since 1970 UTC.
    """
    kept, bus, width = known.setdefault(connection.engine, {}), bus_of(connection), starts.step
    fresh, found = time.monotonic() - REREAD, dict[int, Span]()
    for start in starts:
        read_at, span = kept.get((bus, width, start), (0.0, None))
        if span is not None and read_at > fresh:
            found[start] = span
    missing = [start for start in starts if start not in found]
    if missing:
        found |= read(connection, range(missing[0], missing[-1] + 1, width))
        keep(kept, {(bus, width, start): found[start] for start in missing if start + width + SETTLED < now})
    return {start: found[start] for start in starts}


def keep(kept: dict[Key, tuple[float, Span]], found: dict[Key, Span]) -> None:
    if len(found) > MOST_KEPT:
        return
    if len(kept) + len(found) > MOST_KEPT:
        kept.clear()
    at = time.monotonic()
    kept.update({key: (at, span) for key, span in found.items()})


def read(connection: Connection, starts: range) -> dict[int, Span]:
    """Read the spans of these *starts*."""
    in_starts = in_time(starts.start, starts.stop, t.cast(Width, starts.step))
    found = {start: Span() for start in starts}
    runs = func.sum(rates.c.runs)
    by_name = rates.c.start, rates.c.name, rates.c.outcome
    for start, name, outcome, count in connection.execute(
        select(*by_name, runs).where(ours(connection, rates), in_starts).group_by(*by_name)
    ):
        found[start].add_name(name, outcome, int(count))
    by_job = rates.c.start, rates.c.job, rates.c.bucket
    for start, job, bucket, count in connection.execute(
        select(*by_job, runs).where(ours(connection, rates), in_starts, rates.c.outcome != "lost").group_by(*by_job)
    ):
        found[start].add_job(job, bucket, int(count))
    return found
