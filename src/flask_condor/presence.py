"""The presence of workers: which have been seen alive, and whether anything waits while none has."""

from __future__ import annotations

import json
import os
import secrets
import socket
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version

import msgspec
from sqlalchemy import case
from sqlalchemy import delete
from sqlalchemy import func
from sqlalchemy import insert
from sqlalchemy import select
from sqlalchemy import update
from sqlalchemy.engine import Connection

from .bus import bus_of
from .bus import ours
from .log import clock
from .models import DEAD
from .models import PENDING
from .models import deliveries
from .models import workers
from .pauses import not_paused

UNSEEN = 30.0
"""Seconds after which a worker that was not seen counts as gone."""
FORGOTTEN = 24 * 3600.0
"""Seconds after which the row of a worker that is gone is deleted, by the next that signs in: only that adds rows."""


class Presence(msgspec.Struct, frozen=True):
    """A worker as it is written down."""

    id: str
    host: str
    pid: int
    threads: int
    queues: tuple[str, ...]
    version: str | None
    """That of Flask-Condor; None where it runs from its sources, and is not installed."""

    @classmethod
    def here(cls, threads: int, queues: tuple[str, ...]) -> Presence:
        """Return that of a worker in this process, under a name that no other has."""
        host = socket.gethostname()
        id = f"{host[:32]}:{os.getpid()}:{secrets.token_hex(4)}"
        return cls(id, host, os.getpid(), threads, queues, own_version())


def own_version() -> str | None:
    try:
        return version("Flask-Condor")[:64]
    except PackageNotFoundError:
        return None


def sign_in(connection: Connection, presence: Presence) -> None:
    """Write a worker down, and delete those that have been gone for long."""
    now = clock(connection)
    connection.execute(delete(workers).where(ours(connection, workers), workers.c.seen_at < now - FORGOTTEN))
    row = msgspec.structs.asdict(presence) | {"queues": json.dumps(presence.queues), "bus": bus_of(connection)}
    connection.execute(insert(workers).values(row | {"started_at": now, "seen_at": now}))


def be_seen(connection: Connection, presence: Presence) -> None:
    """Write down that a worker is alive; anew when its row was deleted."""
    seen = update(workers).where(workers.c.id == presence.id).values(seen_at=clock(connection))
    if not connection.execute(seen).rowcount:
        sign_in(connection, presence)


def sign_out(connection: Connection, presence: Presence) -> None:
    """Delete the row of a worker that ends."""
    connection.execute(delete(workers).where(workers.c.id == presence.id))


class Backlog(msgspec.Struct, frozen=True):
    """What waits, what was given up, and who works on it."""

    pending_deliveries: int
    due_deliveries: int
    oldest_due_seconds: float
    """Seconds since the first of those that are due became so; 0 when none is."""
    dead_deliveries: int
    workers: int
    """Those seen lately."""


def backlog(connection: Connection) -> Backlog:
    """Return how much there is to do, and how many workers there are to do it."""
    now = clock(connection)
    is_due = case((deliveries.c.due_at <= now, 1), else_=0)
    pending, due, first = connection.execute(
        select(func.count(), func.sum(is_due), func.min(deliveries.c.due_at)).where(
            PENDING, ours(connection, deliveries)
        )
    ).one()
    dead = connection.scalar(select(func.count()).where(DEAD, ours(connection, deliveries)))
    seen = connection.scalar(select(func.count()).where(ours(connection, workers), workers.c.seen_at > now - UNSEEN))
    return Backlog(pending, int(due or 0), max(0.0, now - (now if first is None else first)), dead or 0, seen or 0)


def waiting_unseen(connection: Connection) -> int:
    """Return how many deliveries are due, and not paused, while no worker has been seen lately;
    0 when one has."""
    seen = select(func.count()).where(ours(connection, workers), workers.c.seen_at > clock(connection) - UNSEEN)
    return 0 if connection.scalar(seen) else count_due(connection)


def count_due(connection: Connection) -> int:
    """Return how many deliveries are due, and not paused."""
    due = select(func.count()).where(PENDING, ours(connection, deliveries), deliveries.c.due_at <= clock(connection))
    return connection.scalar(due.where(not_paused(connection))) or 0
