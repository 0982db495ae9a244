"""The state of the event log, as a command finds it that changes nothing: it makes no database and no tables."""

from __future__ import annotations

import sqlite3
import typing as t
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine
from sqlalchemy import func
from sqlalchemy import select
from sqlalchemy.engine import Connection
from sqlalchemy.engine import Engine
from sqlalchemy.pool import NullPool

from .bus import BUS
from .bus import ours
from .database import BUSY
from .database import READING
from .database import explained
from .database import is_in_memory
from .errors import SchemaMismatch
from .file_guard import file_of
from .models import PENDING
from .models import VERSION
from .models import deliveries
from .models import events
from .schema import version_in

if t.TYPE_CHECKING:
    from .log import Log
    from .registry import Registry


@contextmanager
def look_into(log: Log) -> Iterator[Connection | None]:
    """Open a connection that only reads; None when there is no database.

    On SQLite one of its own, as Condor's engine would put the file in WAL mode.

    :raises LogUnavailable: when the database fails.
    """
    is_file = log.url.get_backend_name() == "sqlite" and not is_in_memory(log.url)
    if not log.is_there:
        yield None
        return
    with explained("the event log was not read"):
        engine = reading_engine(log) if is_file else log.engine
        with engine.connect().execution_options(**{READING: True}) as connection:
            yield connection


@contextmanager
def peek(log: Log) -> Iterator[Connection | None]:
    """Do as :func:`look_into`; yield None when there are no tables either.

    :raises SchemaMismatch: for tables of another version.
    """
    with look_into(log) as connection:
        version = None if connection is None else version_in(connection)
        if version is not None and version != VERSION:
            raise SchemaMismatch(version, VERSION)
        yield None if version is None else connection


def reading_engine(log: Log) -> Engine:
    uri = f"{Path(file_of(log.url)).resolve().as_uri()}?mode=ro"
    engine = create_engine(
        "sqlite://", creator=lambda: sqlite3.connect(uri, timeout=BUSY, uri=True), poolclass=NullPool
    )
    return engine.execution_options(**{BUS: log.bus})


def unknown_jobs(connection: Connection, registry: Registry) -> list[tuple[str, str, int]]:
    """Return the event names and jobs of pending deliveries that no registration stands for, and how many each has."""
    pending = (
        select(events.c.name, deliveries.c.job, func.count())
        .join_from(deliveries, events)
        .where(PENDING, ours(connection, deliveries))
        .group_by(events.c.name, deliveries.c.job)
        .order_by(events.c.name, deliveries.c.job)
    )
    rows = connection.execute(pending).all()
    return [(name, job, count) for name, job, count in rows if registry.job_named(name, job) is None]


def count_dead(connection: Connection) -> int:
    """Return how many deliveries are dead."""
    return (
        connection.scalar(select(func.count()).where(deliveries.c.state == "dead", ours(connection, deliveries))) or 0
    )
