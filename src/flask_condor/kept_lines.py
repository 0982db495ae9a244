"""The kept lines: what runs logged, a row for each run that logged anything, found by the delivery and the run's end.

Written in the very transaction that writes the outcome; where nothing was logged, nothing is asked of the database.
"""

from __future__ import annotations

import typing as t
from collections.abc import Collection
from collections.abc import Sequence

from sqlalchemy import delete
from sqlalchemy import insert
from sqlalchemy import select
from sqlalchemy.engine import Connection

from .models import run_lines

MOST = 200
"""Of how many runs lines are read at once: those that ended last."""


class KeptLines(t.NamedTuple):
    """What one run logged."""

    delivery_id: int
    ended_at: float
    lines: str


def add_lines(connection: Connection, kept: Sequence[KeptLines]) -> None:
    """Keep what runs logged."""
    if kept:
        connection.execute(insert(run_lines), [one._asdict() for one in kept])


def lines_of(connection: Connection, delivery_ids: Collection[int]) -> dict[tuple[int, float], str]:
    """Return the lines of the runs of some deliveries, by delivery and end."""
    found = select(run_lines).where(run_lines.c.delivery_id.in_(delivery_ids))
    rows = connection.execute(found.order_by(run_lines.c.ended_at.desc()).limit(MOST))
    return {(row.delivery_id, row.ended_at): row.lines for row in rows}


def forget_lines(connection: Connection, delivery_ids: Collection[int]) -> None:
    """Delete the lines of deliveries that are deleted."""
    connection.execute(delete(run_lines).where(run_lines.c.delivery_id.in_(delivery_ids)))
