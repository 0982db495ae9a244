"""Joining: whether a session writes to the log's database, so that an event can be written in its transaction."""

from __future__ import annotations

import os
import sqlite3
import typing as t
from collections.abc import Callable
from contextlib import closing
from weakref import WeakKeyDictionary

from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.engine import Engine
from sqlalchemy.exc import InvalidRequestError

from .database import executor_of
from .sqlite_file import execute_patiently
from .statements import TAKE_BACK

if t.TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from .log import Log

Write = Callable[[Connection], object]
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

    def connection_of(self, session: Session) -> Connection | None:
        """Return the connection to the log's database that *session* can write with, beginning it where need be.

        None when the session is bound to another database, or to none in particular, or its transaction is ending.
        """
        try:
            if not session.in_transaction():
                session.begin()
            engine = session.get_bind().engine
            if engine.dialect.name != self._log.engine.dialect.name:
                return None
            connection = session.connection()
        except InvalidRequestError:
            return None
        is_same = self._is_same.get(engine)
        if is_same is None:
            is_same = self._is_same[engine] = engine.pool is self._log.engine.pool or self._is_log(connection)
        return connection if is_same else None

    def _is_log(self, connection: Connection) -> bool:
        if connection.dialect.name == "sqlite":
            files = connection.exec_driver_sql("PRAGMA database_list").all()
            return file_in(files) == file_of(self._log.engine)
        theirs = connection.execute(POSTGRESQL_IDENTITY).one()
        with self._log.engine.connect() as own:
            return own.execute(POSTGRESQL_IDENTITY).one() == theirs


def file_of(engine: Engine) -> object:
    """Return which file an SQLite *engine* opens; without its listeners, which may wait for the caller's own lock."""
    positional, named = t.cast("tuple[t.Any, dict[str, t.Any]]", engine.dialect.create_connect_args(engine.url))
    with closing(sqlite3.connect(*positional, **named)) as connection:
        return file_in(connection.execute("PRAGMA database_list"))


def file_in(databases: t.Iterable[t.Any]) -> object:
    """Return what tells the main one of SQLite's *databases* from every other; one in memory is like none."""
    path = next(path for _, name, path in databases if name == "main")
    if not path:
        return object()
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return os.path.realpath(path)
    return status.st_dev, status.st_ino


def commits_by_itself(raw: object) -> bool:
    """Tell whether each statement on *raw* is a transaction of its own (AUTOCOMMIT), whatever its session says.

    To be asked when the session's transaction has begun.
    """
    if isinstance(raw, sqlite3.Connection):
        return raw.isolation_level is None and not raw.in_transaction
    return bool(getattr(raw, "autocommit", False))


def write_in(connection: Connection, write: Write) -> None:
    """Call *write* within a caller's transaction so that a failure leaves that as it was."""
    raw = connection.connection.dbapi_connection
    begin_where_needed(raw)
    execute = executor_of(connection)
    execute("SAVEPOINT condor")
    try:
        write(connection)
        execute("RELEASE SAVEPOINT condor")
    except BaseException:
        if not is_given_up(connection, raw):
            execute("ROLLBACK TO SAVEPOINT condor")
        raise


def write_event_in(connection: Connection, raw: sqlite3.Connection, event_id: str, write: Write) -> None:
    """Do the same on SQLite for a *write* that adds a new event with its deliveries, or nothing.

    Without a SAVEPOINT, in which SQLite keeps a copy of each page that is changed. A statement that fails it undoes by
    itself, so only whole rows are left to undo.
    """
    begin_where_needed(raw)
    before = raw.total_changes
    try:
        write(connection)
    except BaseException:
        if not is_given_up(connection, raw) and raw.total_changes != before:
            take_back(connection, raw, event_id)
        raise


def begin_where_needed(raw: object) -> None:
    """Begin a transaction where Python's sqlite3 has not, which it does only at the first INSERT, UPDATE or DELETE.

    A SAVEPOINT before that would be the outermost transaction, and its RELEASE a commit.
    """
    if isinstance(raw, sqlite3.Connection) and not raw.in_transaction:
        execute_patiently(raw, "BEGIN IMMEDIATE")


def is_given_up(connection: Connection, raw: object) -> bool:
    """Tell whether SQLite has given up a whole transaction, not only the statement, as it may when the disk is full.

    A COMMIT would then succeed and keep nothing; so the connection is invalidated, and all but a rollback of its
    session raises.
    """
    is_over = isinstance(raw, sqlite3.Connection) and not raw.in_transaction
    if is_over:
        connection.invalidate()
    return is_over


def take_back(connection: Connection, raw: sqlite3.Connection, event_id: str) -> None:
    """Delete an event that was written in a transaction which shall be as it was, or let nothing of that be kept."""
    try:
        for statement in TAKE_BACK:
            raw.execute(statement, (event_id,))
    except BaseException:
        connection.invalidate()
        raise
