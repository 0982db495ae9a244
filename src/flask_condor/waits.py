"""The waits: for how long queued jobs had been due when they began, per minute and per hour.

A worker counts them in its memory and writes them down with its heartbeat, so no job and no outcome waits for that. One
that is killed loses those of its last 4 seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from sqlalchemy import func
from sqlalchemy import select
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Connection

from .bus import bus_of
from .bus import ours
from .log import clock
from .rates import HOUR
from .rates import MINUTE
from .rates import bucket_of
from .trend_models import waits

Wait = tuple[str, float]
"""The queue of a delivery, and for how many seconds it had been due when its job began."""


def add_waits(connection: Connection, found: Iterable[Wait], at: float | None = None) -> None:
    """Count waits that were over at a moment, in seconds since 1970 UTC; now when None.

    The rows are locked until the commit, and taken in the same order by all, so that two cannot wait for one another.
    """
    counts = Counter((queue, bucket_of(seconds)) for queue, seconds in found)
    if not counts:
        return
    now, bus = clock(connection) if at is None else at, bus_of(connection)
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    adding = insert(waits)
    adding = adding.on_conflict_do_update(
        index_elements=list(waits.primary_key.columns), set_={"runs": waits.c.runs + adding.excluded.runs}
    )
    rows = [
        {"bus": bus, "width": width, "start": int(now // width) * width, "queue": queue, "bucket": bucket, "runs": runs}
        for width in (MINUTE, HOUR)
        for (queue, bucket), runs in sorted(counts.items())
    ]
    connection.execute(adding, rows)


def waits_over_time(connection: Connection, starts: range, queue: str | None = None) -> dict[int, dict[int, int]]:
    """Return how many queued jobs fell into each class of waits, by when their minute or hour began.

    For :func:`~flask_condor.rates.percentiles`; there is an entry for each of *starts*, whose step is the width.

    :param queue: that of the jobs; all when None.
    """
    rows = select(waits.c.start, waits.c.bucket, func.sum(waits.c.runs)).where(
        ours(connection, waits),
        waits.c.width == starts.step,
        waits.c.start >= starts.start,
        waits.c.start < starts.stop,
    )
    rows = rows if queue is None else rows.where(waits.c.queue == queue)
    found: dict[int, dict[int, int]] = {start: {} for start in starts}
    for start, bucket, runs in connection.execute(rows.group_by(waits.c.start, waits.c.bucket)):
        found[start][bucket] = int(runs)
    return found
