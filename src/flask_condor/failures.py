"""The failures: each attempt that did not succeed is kept, and counted with those that are like it.

Written in the very transaction that writes the outcome; where nothing failed, nothing is asked of the database.
"""

from __future__ import annotations

import hashlib
import json
import math
import typing as t
from collections import Counter
from collections.abc import Collection
from collections.abc import Sequence

import msgspec
from sqlalchemy import ColumnElement
from sqlalchemy import case
from sqlalchemy import delete
from sqlalchemy import exists
from sqlalchemy import insert
from sqlalchemy import select
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Connection

from .bus import bus_of
from .bus import ours
from .kept_lines import forget_lines
from .models import attempts
from .models import failure_counts
from .models import failures
from .rates import HOUR
from .storable import Failure

COUNTS_KEPT = 90 * 24 * 3600
"""Seconds for which the counts per hour are kept."""
GROUPS_PRUNED = 1000
"""How many failures one transaction forgets."""


class Failed(msgspec.Struct, frozen=True):
    """An attempt that did not succeed; ``name`` is that of the event."""

    delivery: int
    attempt: int
    name: str
    job: str
    outcome: t.Literal["failed", "dead", "lost"]
    worker: str | None
    started_at: float
    ended_at: float
    failure: Failure

    @property
    def frame(self) -> str:
        """Where it failed: the job itself, when none of the app's own code is known."""
        return self.failure.frame or self.job

    @property
    def key(self) -> str:
        """The same for those that are alike."""
        parts = json.dumps([self.job, self.failure.error_type, self.frame])
        return hashlib.sha256(parts.encode()).hexdigest()


def add_failures(connection: Connection, failed: Sequence[Failed]) -> list[int]:
    """Keep and count *failed*, in the transaction of *connection*; return the number of the failure of each.

    Call it once per transaction, when the deliveries are locked and before :func:`~flask_condor.rates.add_runs`:
    every transaction takes the rows in the same order, so that two cannot wait for one another.
    """
    if not failed:
        return []
    keys = [one.key for one in failed]
    numbers = add_groups(connection, dict(zip(keys, failed, strict=True)), keys)
    of = [numbers[key] for key in keys]
    add_counts(connection, Counter((id, hour_of(one), one.name) for id, one in zip(of, failed, strict=True)))
    connection.execute(insert(attempts), [row_of(one, id) for id, one in zip(of, failed, strict=True)])
    return of


def add_groups(connection: Connection, latest: dict[str, Failed], keys: Sequence[str]) -> dict[str, int]:
    """Count the failures with these *keys*, of each of which the *latest* is given; return their numbers by key."""
    counts, bus = Counter(keys), bus_of(connection)
    rows = [
        {
            "bus": bus,
            "job": one.job,
            "error_type": one.failure.error_type,
            "frame": one.frame,
            "key": key,
            "first_seen": one.ended_at,
            "last_seen": one.ended_at,
            "runs": counts[key],
            "note": "",
        }
        for key, one in sorted(latest.items(), key=lambda item: item[0])
    ]
    adding = upsert_into(connection)(failures)
    seen, now = failures.c.last_seen, adding.excluded.last_seen
    adding = adding.on_conflict_do_update(
        index_elements=[failures.c.bus, failures.c.key],
        set_={"runs": failures.c.runs + adding.excluded.runs, "last_seen": case((now > seen, now), else_=seen)},
    )
    found = connection.execute(adding.returning(failures.c.key, failures.c.id), rows)
    return {row.key: row.id for row in found}


def add_counts(connection: Connection, counts: Counter[tuple[int, int, str]]) -> None:
    adding = upsert_into(connection)(failure_counts)
    adding = adding.on_conflict_do_update(
        index_elements=list(failure_counts.primary_key.columns),
        set_={"runs": failure_counts.c.runs + adding.excluded.runs},
    )
    names = failure_counts.columns.keys()
    connection.execute(adding, [dict(zip(names, (*key, counts[key]), strict=True)) for key in sorted(counts)])


def upsert_into(connection: Connection) -> t.Any:
    """Return the ``insert`` that can meet a row that is there already; the two have no common class."""
    return postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert


def hour_of(one: Failed) -> int:
    return int(one.ended_at // HOUR) * HOUR


def row_of(one: Failed, failure_id: int) -> dict[str, t.Any]:
    return {
        "delivery_id": one.delivery,
        "attempt": one.attempt,
        "outcome": one.outcome,
        "worker": one.worker,
        "started_at": one.started_at,
        "ended_at": one.ended_at,
        "error": one.failure.text,
        "failure_id": failure_id,
    }


def forget_attempts(connection: Connection, delivery_ids: Collection[int]) -> None:
    """Delete the attempts of deliveries that are deleted, with what they logged."""
    if delivery_ids:
        connection.execute(delete(attempts).where(attempts.c.delivery_id.in_(delivery_ids)))
        forget_lines(connection, delivery_ids)


def prune_failures(connection: Connection, now: float, before: float | None) -> None:
    """Delete the counts of hours older than 90 days, and failures not seen since *before*, if no attempt is left.

    :param before: seconds since 1970 UTC; None keeps the failures for ever.
    """
    is_ours = failures.c.id == failure_counts.c.failure_id
    mine = exists().where(is_ours, ours(connection, failures))
    connection.execute(delete(failure_counts).where(failure_counts.c.start < math.ceil(now - COUNTS_KEPT), mine))
    if before is None:
        return
    has_attempts: ColumnElement[bool] = exists().where(attempts.c.failure_id == failures.c.id)
    old = select(failures.c.id).where(ours(connection, failures), failures.c.last_seen < before, ~has_attempts)
    old = old.order_by(failures.c.last_seen).limit(GROUPS_PRUNED)
    gone = delete(failures).where(failures.c.id.in_(old), failures.c.last_seen < before).returning(failures.c.id)
    ids = connection.scalars(gone).all()
    if ids:
        connection.execute(delete(failure_counts).where(failure_counts.c.failure_id.in_(ids)))
