"""The version of the event log's tables: made when there are none, upgraded on request, refused when newer."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import create_engine
from sqlalchemy import delete
from sqlalchemy import false
from sqlalchemy import insert
from sqlalchemy import inspect
from sqlalchemy import select
from sqlalchemy import text
from sqlalchemy import update
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError
from sqlalchemy.schema import CreateColumn
from sqlalchemy.schema import CreateIndex
from sqlalchemy.schema import CreateTable

from . import edge_models as edge_models  # adds its tables to the metadata
from . import trend_models as trend_models
from .bus import BUS
from .errors import SchemaMismatch
from .models import VERSION
from .models import metadata
from .models import versions

CREATING = 0x0C0D0
"""The PostgreSQL advisory lock under which the tables are made and changed."""

MIGRATIONS: dict[int, Callable[[Connection], None]] = {}
"""What leads from each older version of the tables to the next, by the version it starts from."""


def version_in(connection: Connection) -> int | None:
    """Return the version of the tables in the database, or None when it has none."""
    if not inspect(connection).has_table(versions.name):
        return None
    return connection.scalar(select(versions.c.version))


def ensure_schema(connection: Connection) -> bool:
    """Make the tables where there are none, in the transaction of *connection*; return whether it made them.

    :raises SchemaMismatch: when there are some, of another version than :data:`~flask_condor.models.VERSION`.
    """
    found = version_in(connection)
    if found is None:
        lock(connection)
        found = version_in(connection)
    if found is None:
        make_tables(connection)
        return True
    if found != VERSION:
        raise SchemaMismatch(found, VERSION)
    return False


@contextmanager
def no_rows(bus: str) -> Iterator[Connection]:
    """Open a transaction that finds the tables, and nothing in them: it stands for a database that is not made yet."""
    engine = create_engine("sqlite://").execution_options(**{BUS: bus})
    try:
        with engine.begin() as connection:
            make_tables(connection)
            yield connection
    finally:
        engine.dispose()


def take_write_lock(connection: Connection) -> None:
    """Let an SQLite transaction begin by writing: one that reads before it writes cannot wait for another to end."""
    try:
        connection.execute(delete(versions).where(false()))
    except OperationalError:
        connection.execute(CreateTable(versions, if_not_exists=True))


def upgrade(connection: Connection) -> tuple[int | None, int]:
    """Bring the tables to this code's version, in the transaction of *connection*; return the old and new version.

    A table that was dropped is made anew, empty; a column that older tables lack, and that may be empty, is added.

    :raises SchemaMismatch: when they are newer than this code, or so old that no way leads on.
    """
    lock(connection)
    found = version_in(connection)
    if found is None:
        make_tables(connection)
        return None, VERSION
    if found > VERSION:
        raise SchemaMismatch(found, VERSION)
    if any(version not in MIGRATIONS for version in range(found, VERSION)):
        raise SchemaMismatch(found, VERSION, has_way=False)
    for version in range(found, VERSION):
        MIGRATIONS[version](connection)
        connection.execute(update(versions).values(version=version + 1))
    make_missing(connection)
    add_missing_columns(connection)
    return found, VERSION


def make_tables(connection: Connection) -> None:
    make_missing(connection)
    connection.execute(insert(versions).values(version=VERSION))


def make_missing(connection: Connection) -> None:
    for table in metadata.sorted_tables:
        connection.execute(CreateTable(table, if_not_exists=True))
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            connection.execute(CreateIndex(index, if_not_exists=True))


def add_missing_columns(connection: Connection) -> None:
    for table in metadata.sorted_tables:
        there = {column["name"] for column in inspect(connection).get_columns(table.name)}
        for column in table.columns:
            if column.name not in there and column.nullable:
                words = CreateColumn(column).compile(dialect=connection.dialect)
                connection.execute(text(f"ALTER TABLE {table.name} ADD COLUMN {words}"))


def lock(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": CREATING})
