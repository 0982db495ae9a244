"""The family of an event: how many events its root has led to, in whatever process they were fired."""

from __future__ import annotations

import typing as t

from sqlalchemy import func
from sqlalchemy import select
from sqlalchemy import text
from sqlalchemy.engine import Connection

from .config import MAX_DESCENDANTS
from .errors import EventLoop
from .models import events

SAME_FAMILY = 0x0FA
"""The PostgreSQL advisory locks, one per root event, under which its last descendants are counted."""
NEARLY = 0.98
"""The share of the most descendants from which they are: until then jobs of one root do not wait for one another."""


def refuse_large_family(connection: Connection, root_id: str, chain: tuple[str, ...]) -> None:
    """Count the family of an event that has been written: an SQLite transaction that reads first may not write."""
    descendants = select(func.count()).where(events.c.root_id == root_id, events.c.root_id != events.c.id)
    count = t.cast(int, connection.scalar(descendants))
    if connection.dialect.name != "sqlite" and count > MAX_DESCENDANTS * NEARLY:
        lock = text("SELECT pg_advisory_xact_lock(:space, hashtext(:root))")
        connection.execute(lock, {"space": SAME_FAMILY, "root": root_id})
        count = t.cast(int, connection.scalar(descendants))
    if count > MAX_DESCENDANTS:
        raise EventLoop(f"one event {chain[0]!r} led to more than {MAX_DESCENDANTS:,} others", chain)
