"""Databases for tests: a new SQLite file, or a PostgreSQL database that is dropped afterwards."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask_condor import EventsManager
from flask_condor.models import deliveries
from flask_condor.models import events
from sqlalchemy import create_engine
from sqlalchemy import select
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

SERVER = os.environ.get("CONDOR_TEST_POSTGRESQL", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres")
KINDS = ("sqlite", "postgresql")


FREE: list[str] = []
"""PostgreSQL databases of this process that are empty: to make one takes as long as many a test."""
MADE: set[str] = set()
"""All of this process."""


@contextmanager
def new_database(kind: str, folder: Path) -> Iterator[str]:
    """Give an empty database, by its URL; without a PostgreSQL server the test is skipped, in CI it fails."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'condor.db'}"
        return
    name = FREE.pop() if FREE else new_name()
    if name not in MADE:
        run_on_server(f"CREATE DATABASE {name}")
        MADE.add(name)
    try:
        yield url_of(name)
    finally:
        empty(name)


def new_name() -> str:
    return f"condor_test_{secrets.token_hex(6)}"


def url_of(name: str) -> str:
    return SERVER.rpartition("/")[0] + f"/{name}"


def empty(name: str) -> None:
    """Let the next test have a database as if it were new; one that cannot be emptied is dropped.

    Under a new name, as what the last test left running in the background may still write to the old one.
    """
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    engine, new = create_engine(url_of(name), isolation_level="AUTOCOMMIT", poolclass=NullPool), new_name()
    server = create_engine(SERVER, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    try:
        with engine.connect() as connection:
            connection.execute(text(f"{others} AND pid <> pg_backend_pid()"))
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))
        with server.connect() as connection:
            connection.execute(text(f"ALTER DATABASE {name} RENAME TO {new}"))
    except SQLAlchemyError:
        drop(name)
        return
    MADE.discard(name)
    MADE.add(new)
    FREE.append(new)


def drop(name: str) -> None:
    run_on_server(f"DROP DATABASE {name} WITH (FORCE)")
    MADE.discard(name)


def drop_all() -> None:
    """Drop what this process has made, when its tests are over."""
    for name in list(MADE):
        drop(name)


def run_on_server(statement: str) -> None:
    try:
        server = create_engine(SERVER, isolation_level="AUTOCOMMIT", connect_args={"connect_timeout": 10})
        with server.connect() as connection:
            connection.execute(text(statement))
        server.dispose()
    except (ImportError, SQLAlchemyError) as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no PostgreSQL: {error}")


def accepted(manager: EventsManager) -> list[str]:
    """Return the names of the events in the log, in the order they were fired."""
    with manager.log.read() as connection:
        return list(connection.scalars(select(events.c.name).order_by(events.c.fired_at)))


def queued(manager: EventsManager) -> list[Any]:
    """Return the rows of the deliveries, in the order they were written."""
    with manager.log.read() as connection:
        return list(connection.execute(select(deliveries).order_by(deliveries.c.id)))
