"""The sizes: what each table takes, how much is kept, and what is forgotten next."""

from __future__ import annotations

import typing as t

import msgspec
from sqlalchemy import Table
from sqlalchemy import func
from sqlalchemy import literal
from sqlalchemy import select
from sqlalchemy import text
from sqlalchemy.engine import Connection

from ...bus import ours
from ...models import deliveries
from ...models import events
from ...models import metadata

MOST = 10_000
"""Up to how many rows are counted."""
SMALL = 64 * 1024 * 1024
"""Bytes up to which an SQLite file is read through for the size of its tables."""

OF_RELATION = text(
    "SELECT pg_total_relation_size(c.oid), c.reltuples::bigint FROM pg_class c WHERE c.oid = to_regclass(:name)"
)
OF_TREES = text(
    "SELECT m.tbl_name, sum(s.pgsize) FROM dbstat s JOIN sqlite_master m ON m.name = s.name"
    " WHERE s.aggregate = TRUE GROUP BY m.tbl_name"
)


class Size(msgspec.Struct, frozen=True):
    """What one table takes, for all buses."""

    table: str
    rows: int
    has_more: bool
    """Whether there are more rows than were counted."""
    bytes: int | None
    """With its indexes; None where only reading the whole file would tell."""


class Kept(msgspec.Struct, frozen=True):
    """How far back the log goes, in seconds since 1970 UTC."""

    oldest_event: float | None
    oldest_end: float | None
    """When the delivery ended that is forgotten next."""


def database_bytes(connection: Connection) -> int:
    """Return how large the whole database is, with what else is in it."""
    if connection.dialect.name == "sqlite":
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar() or 0
        return t.cast(int, pages * (connection.exec_driver_sql("PRAGMA page_size").scalar() or 0))
    return t.cast(int, connection.scalar(select(func.pg_database_size(func.current_database()))))


def server_of(connection: Connection) -> str:
    """Return which database this is, with its version."""
    version = ".".join(map(str, connection.dialect.server_version_info or ()))
    return f"{'SQLite' if connection.dialect.name == 'sqlite' else 'PostgreSQL'} {version}"


def sizes(connection: Connection) -> list[Size]:
    """Return what each table takes, the largest first."""
    found = of_sqlite(connection) if connection.dialect.name == "sqlite" else of_postgresql(connection)
    return sorted(found, key=lambda one: (-(one.bytes or 0), -one.rows, one.table))


def of_sqlite(connection: Connection) -> list[Size]:
    bytes_of: dict[str, int] = {}
    if database_bytes(connection) <= SMALL and has_dbstat(connection):
        bytes_of = {name: size for name, size in connection.execute(OF_TREES)}
    return [Size(name, *some_rows(connection, table), bytes_of.get(name)) for name, table in metadata.tables.items()]


def has_dbstat(connection: Connection) -> bool:
    return bool(connection.exec_driver_sql("SELECT sqlite_compileoption_used('ENABLE_DBSTAT_VTAB')").scalar())


def of_postgresql(connection: Connection) -> list[Size]:
    found = []
    for name, table in metadata.tables.items():
        size, estimate = connection.execute(OF_RELATION, {"name": name}).one_or_none() or (None, -1)
        rows, has_more = (estimate, False) if estimate > MOST else some_rows(connection, table)
        found.append(Size(name, rows, has_more, size))
    return found


def some_rows(connection: Connection, table: Table) -> tuple[int, bool]:
    some = select(literal(1)).select_from(table).limit(MOST + 1).subquery()
    count = connection.scalar(select(func.count()).select_from(some)) or 0
    return min(count, MOST), count > MOST


def kept(connection: Connection) -> Kept:
    """Return how far back the log goes."""
    ends = deliveries.c.finished_at
    return Kept(
        connection.scalar(select(func.min(events.c.fired_at)).where(ours(connection, events))),
        connection.scalar(select(func.min(ends)).where(ours(connection, deliveries), ends.is_not(None))),
    )
