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

SERVER = os.environ.get("CONDOR_TEST_POSTGRESQL", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres")
KINDS = ("sqlite", "postgresql")


@contextmanager
def new_database(kind: str, folder: Path) -> Iterator[str]:
    """Make a database, and yield its URL; without a PostgreSQL server the test is skipped, in CI it fails."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'condor.db'}"
        return
    name = f"condor_test_{secrets.token_hex(6)}"
    run_on_server(f"CREATE DATABASE {name}")
    try:
        yield SERVER.rpartition("/")[0] + f"/{name}"
    finally:
        run_on_server(f"DROP DATABASE {name} WITH (FORCE)")


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
