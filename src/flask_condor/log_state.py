"""The state of the event log, as a command finds it that changes nothing: it makes no database and no tables."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import func
from sqlalchemy import select
from sqlalchemy.engine import Connection

from .database import READING
from .database import explained
from .errors import SchemaMismatch
from .models import PENDING
from .models import VERSION
from .models import deliveries
from .models import events
from .schema import version_in

if t.TYPE_CHECKING:
    from .log import Log
    from .registry import Registry


@contextmanager
def peek(log: Log) -> Iterator[Connection | None]:
    """Open a transaction that only reads; None when there is no database, or no tables in it.

    :raises LogUnavailable: when the database fails. :raises SchemaMismatch: for tables of another version.
    """
    if not log.is_there:
        yield None
        return
    with explained("the event log was not read"), log.engine.connect() as connection:
        with connection.execution_options(**{READING: True}).begin():
            version = version_in(connection)
            if version is not None and version != VERSION:
                raise SchemaMismatch(version, VERSION)
            yield None if version is None else connection


def unknown_jobs(connection: Connection, registry: Registry) -> list[tuple[str, str, int]]:
    """Return the event names and jobs of pending deliveries that no registration stands for, and how many each has."""
    pending = (
        select(events.c.name, deliveries.c.job, func.count())
        .join_from(deliveries, events)
        .where(PENDING)
        .group_by(events.c.name, deliveries.c.job)
        .order_by(events.c.name, deliveries.c.job)
    )
    rows = connection.execute(pending).all()
    return [(name, job, count) for name, job, count in rows if registry.job_named(name, job) is None]


def count_dead(connection: Connection) -> int:
    """Return how many deliveries are dead."""
    return connection.scalar(select(func.count()).where(deliveries.c.state == "dead")) or 0
