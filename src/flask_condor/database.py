"""The event log's database: a Condor engine of its own, and the tables in it.

An engine of the app's (Flask-SQLAlchemy's) is used as it is and never altered.
"""

from __future__ import annotations

import errno
import os
import re
import sqlite3
import typing as t
import weakref
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from sqlalchemy import create_engine
from sqlalchemy import make_url
from sqlalchemy.engine import URL
from sqlalchemy.engine import Connection
from sqlalchemy.engine import Engine
from sqlalchemy.exc import ArgumentError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import NoSuchModuleError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import StatementError

from .errors import ConfigInvalid
from .errors import DatabaseUnsupported
from .errors import DriverMissing
from .errors import LogUnavailable
from .errors import shorten
from .file_guard import file_of
from .file_guard import make_folder_of
from .sqlite_file import BUSY
from .sqlite_file import attend

PLAINLY = "SELECT set_config('jit', 'off', true), set_config('max_parallel_workers_per_gather', '0', true)"
FAILURES = (SQLAlchemyError, sqlite3.Error, OSError)
"""What a database that fails may raise."""
PASSWORD = re.compile(r"(://[^:@/]*:).*@")
PLAIN_POSTGRESQL = re.compile(r"^postgres(?:ql)?://")
MISSING_TABLE = re.compile(r"no such table: (?:main\.)?(condor_\w+)|relation \"(condor_\w+)\" does not exist")
MISSING_COLUMN = re.compile(
    r"has no column named|no such column: condor_|column \S+ (?:of relation \S+ )?does not exist"
)


def check_url(text: str, where: str) -> URL:
    """Return *text* as a URL with a driver that the log can use.

    :param where: the setting it stands in, for the error.
    :raises ConfigInvalid: for what is no database URL. :raises DatabaseUnsupported: for another kind of database.
    """
    shown = PASSWORD.sub(r"\1***@", text) if isinstance(text, str) else text
    try:
        url = make_url(PLAIN_POSTGRESQL.sub("postgresql+psycopg://", text))
    except (ArgumentError, ValueError, TypeError) as error:
        raise ConfigInvalid(where, shown, "a database URL such as sqlite:///condor.db") from error
    check_backend(url.get_backend_name(), where)
    if url.get_backend_name() == "sqlite" and is_in_memory(url):
        raise ConfigInvalid(where, shown, "a file: what is in memory is lost with the process, and no worker sees it")
    if url.get_driver_name() in ("aiosqlite", "asyncpg", "psycopg_async"):
        raise ConfigInvalid(where, shown, "a URL without an async driver; async jobs need none")
    return url


def is_in_memory(url: URL) -> bool:
    name = url.database or ":memory:"
    return ":memory:" in name or url.query.get("mode") == "memory"


def check_backend(backend: str, where: str) -> None:
    if backend not in ("sqlite", "postgresql"):
        raise DatabaseUnsupported(backend, where)


def open_database(url: URL, *, is_of_app: bool = False) -> Engine:
    """Return a new engine for *url*; it connects when it is first used. No connection of it crosses a fork.

    On SQLite every writing transaction begins with BEGIN IMMEDIATE and ends with ``synchronous=FULL``; the file is
    in WAL mode, and checkpoints are made by one process at a time.

    :param is_of_app: whether the file is the app's, whose journal mode and checkpoints are not ours to change.
    :raises DriverMissing: when the driver is not installed.
    """
    if url.get_backend_name() == "sqlite" and url.database:
        make_folder_of(file_of(url))
    try:
        engine = create_engine(url, **({"pool_pre_ping": True} if url.get_backend_name() == "postgresql" else {}))
    except (ImportError, NoSuchModuleError) as missing:
        raise DriverMissing(url.get_backend_name(), url.get_driver_name()) from missing
    if engine.dialect.name == "sqlite":
        attend(engine, file_of(url), is_of_app=is_of_app)
    renew_after_fork(engine)
    return engine


def renew_after_fork(engine: Engine) -> None:
    """Let each child process open connections of its own: a shared one would mix up what both send."""
    alive = weakref.ref(engine)

    def renew() -> None:
        ours = alive()
        if ours is not None:
            ours.dispose(close=False)

    os.register_at_fork(after_in_child=renew)


def executor_of(connection: Connection) -> Callable[..., t.Any]:
    """Return what executes SQL text on *connection*: its driver where it can; SQLAlchemy takes 25 to 130 µs more.

    The errors of sqlite3 are then its own.
    """
    raw: t.Any = connection.connection.dbapi_connection
    if isinstance(raw, sqlite3.Connection):
        return raw.execute
    return partial(execute_on_server, connection, raw) if is_psycopg(connection) else connection.exec_driver_sql


def is_psycopg(connection: Connection) -> bool:
    """Tell whether the driver is psycopg 3, whose connections can execute."""
    return connection.dialect.driver == "psycopg"


def execute_on_server(connection: Connection, raw: t.Any, statement: str, parameters: t.Any = None) -> t.Any:
    """Execute *statement* on *raw*, that of *connection*, and fail as SQLAlchemy would."""
    driver, dialect = t.cast(t.Any, connection.dialect.dbapi), connection.dialect
    try:
        return raw.execute(statement, parameters)
    except driver.Error as error:
        if is_lost := dialect.is_disconnect(error, raw, None):
            connection.invalidate(error)
        raise DBAPIError.instance(
            statement, None, error, driver.Error, hide_parameters=True, connection_invalidated=is_lost, dialect=dialect
        ) from error


def plain(connection: Connection) -> Connection:
    """Return a *connection* to PostgreSQL that compiles no statement and starts no process for one, until it commits.

    For what looks at some thousand rows of a table that may have millions: either would take longer than the looking.
    """
    executor_of(connection)(PLAINLY)
    return connection


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn an error of the database into one that says what became of *what*.

    :raises LogUnavailable: naming the likely cause and the next step.
    """
    try:
        yield
    except FAILURES as error:
        raise unavailable(what, error) from error


def unavailable(what: str, error: Exception) -> LogUnavailable:
    """Return what :func:`explained` raises for *error*, one of :data:`FAILURES`."""
    if isinstance(error, StatementError):
        error.hide_parameters = True  # a payload is among them, and the text of an error ends up in a log
    return LogUnavailable(f"{what}: {cause_of(error)}")


def cause_in_files(error: OSError) -> str:
    """Return what :mod:`.file_guard` has to say."""
    if error.errno == errno.ENOENT:
        return f"the database file {error.filename} {error.strerror}. Restore it, or restart to begin a new one."
    return (
        f"the folder {error.filename} {error.strerror}."
        " Give this user the right to, or let CONDOR_DATABASE_URL name a file in another folder."
    )


def cause_of(error: Exception) -> str:
    inner = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(inner, OSError) and inner.filename:
        return cause_in_files(inner)
    if MISSING_COLUMN.search(str(inner)):
        told = shorten(t.cast(BaseException, inner))
        return f"its tables are older than this code: {told}. Run `flask events db upgrade` once, while no worker runs."
    if missing := MISSING_TABLE.search(str(inner)):
        return (
            f"table {missing[1] or missing[2]} is gone: it was dropped, or this is another database than before."
            " Restore it, or run `flask events db upgrade` to make the tables anew, empty."
        )
    code = getattr(inner, "sqlite_errorcode", 0) or 0
    known = {
        sqlite3.SQLITE_BUSY: f"the database stayed locked for {BUSY:.0f} s. Find what holds a transaction open in it.",
        sqlite3.SQLITE_FULL: "the disk is full. Free some space; nothing that was accepted is lost.",
        sqlite3.SQLITE_READONLY: "the database may not be written. Give this user the right to its file and folder.",
        sqlite3.SQLITE_CANTOPEN: "the database file cannot be opened. Look at CONDOR_DATABASE_URL and its folder.",
        sqlite3.SQLITE_IOERR: "the disk failed. Look at the system's log.",
        sqlite3.SQLITE_CORRUPT: "the database file is damaged. Restore it from a backup.",
        sqlite3.SQLITE_NOTADB: "the file is no SQLite database. Look at CONDOR_DATABASE_URL.",
    }
    told = f"{type(inner).__name__}: {shorten(t.cast(BaseException, inner))}"
    hint = ". Is the server running, and CONDOR_DATABASE_URL right?" if type(inner).__module__ == "psycopg" else ""
    return known.get(code & 0xFF, told + hint)
