"""Joining: whether a session writes to the log's database, so that an event can be written in its transaction."""

from __future__ import annotations

import os
import sqlite3
import typing as t
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.engine import Engine
from sqlalchemy.exc import UnboundExecutionError

from .database import execute_patiently

if t.TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from .log import Log

POSTGRESQL_IDENTITY = text(
    "SELECT system_identifier, oid FROM pg_control_system(), pg_database WHERE datname = current_database()"
)


class Joining:
    """Finds the connection of a session's transaction to the log's database.

    Two URLs may name one database, and one URL two (a relative path, a service name), so what is compared is the
    file's inode on SQLite, and the server's and the database's own numbers on PostgreSQL.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._is_same: WeakKeyDictionary[Engine, bool] = WeakKeyDictionary()
        self._own: object = None

    def connection_of(self, session: Session) -> Connection | None:
        """Return the connection that *session* has to the log's database, or None when it is bound to another."""
        try:
            engine = session.get_bind().engine
        except UnboundExecutionError:
            return None
        if engine.dialect.name != self._log.engine.dialect.name:
            return None
        connection = session.connection()
        if engine not in self._is_same:
            self._is_same[engine] = engine is self._log.engine or identity_of(connection) == self._own_identity()
        return connection if self._is_same[engine] else None

    def _own_identity(self) -> object:
        if self._own is None:
            self._own = own_identity(self._log.engine)
        return self._own


def identity_of(connection: Connection) -> object:
    """Return what tells the database of *connection* from every other; a database in memory is like none."""
    if connection.dialect.name == "postgresql":
        return tuple(connection.execute(POSTGRESQL_IDENTITY).one())
    files = {name: path for _, name, path in connection.exec_driver_sql("PRAGMA database_list")}
    return identity_of_file(files["main"]) if files["main"] else object()


def own_identity(engine: Engine) -> object:
    """Return the same for an engine; without connecting to SQLite, whose file the caller may have locked."""
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection:
            return identity_of(connection)
    path = engine.url.database or ""
    return identity_of_file(unquote(urlsplit(path).path) if path.startswith("file:") else path)


def identity_of_file(path: str) -> object:
    try:
        status = os.stat(path)
    except OSError:
        return object()
    return status.st_dev, status.st_ino


@contextmanager
def savepoint(connection: Connection) -> Iterator[None]:
    """Write within a caller's transaction so that a failure leaves it as it was.

    Python's sqlite3 begins a transaction only at the first INSERT, UPDATE or DELETE: a SAVEPOINT before that would be
    the outermost transaction, and its RELEASE a commit. So the transaction is begun here where it has not been.
    """
    raw = connection.connection.dbapi_connection
    if isinstance(raw, sqlite3.Connection) and not raw.in_transaction:
        execute_patiently(raw, "BEGIN IMMEDIATE")
    with connection.begin_nested():
        yield
