"""The event log: which database it is kept in, and how an event and its deliveries are written to it and read back."""

from __future__ import annotations

import time
import typing as t
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from sqlalchemy import select
from sqlalchemy.engine import URL
from sqlalchemy.engine import Connection
from sqlalchemy.engine import Engine

from . import travel
from .bus import BUS
from .database import check_backend
from .database import check_url
from .database import explained
from .database import is_in_memory
from .database import open_database
from .database import renew_after_fork
from .errors import SchemaMismatch
from .file_guard import file_of
from .models import VERSION
from .redacting import IS_STORED
from .redacting import REDACTION
from .redaction import redaction_by
from .schema import ensure_schema
from .schema import no_rows
from .schema import take_write_lock
from .schema import version_in
from .sqlite_file import READING
from .statements import CLOCK

if t.TYPE_CHECKING:
    from flask import Flask

    from .config import Config

SETTING = "CONDOR_DATABASE_URL"


class Log:
    """The event log of one app; nothing is opened before it is first used.

    Kept in ``CONDOR_DATABASE_URL`` (a relative path is one in the instance folder), else in Flask-SQLAlchemy's
    database when the app has that, else in an SQLite file in the instance folder. The tables are made when there are
    none.
    """

    def __init__(self, app: Flask, config: Config) -> None:
        self._app = app
        self._config = config
        self.bus = config.bus
        """That of the app, on which all of its rows are."""
        self._engine: Engine | None = None
        self._opening = Lock()
        self._has_tables = False

    @property
    def engine(self) -> Engine:
        """The engine that Condor writes with when the caller has no transaction of its own.

        :raises DatabaseUnsupported: when it is neither SQLite nor PostgreSQL. :raises DriverMissing: without a driver.
        """
        if self._engine is None:
            with self._opening:
                self._engine = self._engine or self._open().execution_options(**self._options)
        return self._engine

    @property
    def _options(self) -> dict[str, object]:
        redaction = redaction_by(self._config.redact_keys)
        return {BUS: self.bus, REDACTION: redaction, IS_STORED: self._config.redact_stored}

    def check(self) -> None:
        """Make sure that the database is one that the log can be kept in, without connecting to it.

        :raises DatabaseUnsupported: naming it. :raises ConfigInvalid: for a setting that is no database URL.
        """
        if self._config.database_url:
            check_url(self._config.database_url, SETTING)
        elif (engine := self._engine_of_app()) is not None:
            check_backend(engine.dialect.name, "the app's SQLALCHEMY_DATABASE_URI")

    def _open(self) -> Engine:
        self.check()
        if (engine := self._engine_of_app()) is None:
            return open_database(self.url)
        if engine.dialect.name == "sqlite" and not is_in_memory(engine.url):
            return open_database(engine.url, is_of_app=True)
        renew_after_fork(engine)
        return engine

    @property
    def url(self) -> URL:
        """Where the log is kept, or will be."""
        if (engine := self._engine_of_app()) is not None:
            return engine.url
        url = check_url(self._config.database_url or "sqlite:///condor.db", SETTING)
        if url.get_backend_name() == "sqlite" and not (path := url.database or "").startswith("file:"):
            return url.set(database=str(Path(self._app.instance_path, path)))
        return url

    def _engine_of_app(self) -> Engine | None:
        extension = self._app.extensions.get("sqlalchemy")
        if self._config.database_url or extension is None or not hasattr(type(extension), "engines"):
            return None
        with self._app.app_context():
            return t.cast("Engine | None", extension.engines.get(None))

    @property
    def is_chosen(self) -> bool:
        """Whether the app has a database for it, by setting or by Flask-SQLAlchemy."""
        return self._config.database_url is not None or self._engine_of_app() is not None

    @property
    def is_there(self) -> bool:
        """Whether the database was ever made, as far as can be told without connecting to it."""
        is_file = self.url.get_backend_name() == "sqlite" and not is_in_memory(self.url)
        return not is_file or Path(file_of(self.url)).exists()

    @contextmanager
    def begin(self, what: str = "the event log was not written") -> Iterator[Connection]:
        """Open a writing transaction; it commits when the ``with`` block ends, and rolls back when that raises.

        :param what: what an error says has not happened.
        :raises LogUnavailable: when the database fails. :raises SchemaMismatch: for tables of another version.
        """
        with explained(what), self.engine.begin() as connection:
            if not self._has_tables:
                ensure_schema(connection)
            yield connection
        self._has_tables = True

    @contextmanager
    def change(self, what: str) -> Iterator[Connection]:
        """Do as :meth:`begin`, for a change of what is stored: where nothing is, nothing is made."""
        with self.begin(what) if self._finds_tables() else no_rows(self.bus) as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that only reads and asks for no lock; raises as :meth:`begin`.

        Where there is no database, or no tables, it finds no rows, and makes nothing.
        """
        if not self._finds_tables():
            with no_rows(self.bus) as connection:
                yield connection
            return
        with explained("the event log was not read"), self.engine.connect() as connection:
            with connection.execution_options(**{READING: True}).begin():
                yield connection

    def _finds_tables(self) -> bool:
        if self._has_tables or not self.is_there:
            return self._has_tables
        with explained("the event log was not read"), self.engine.connect() as connection:
            with connection.execution_options(**{READING: True}).begin():
                found = version_in(connection)
        if found not in (None, VERSION):
            raise SchemaMismatch(found, VERSION)
        self._has_tables = found is not None
        return self._has_tables

    @property
    def has_tables(self) -> bool:
        """Whether the tables are known to be there."""
        return self._has_tables

    def ensure_tables_in(self, connection: Connection) -> None:
        """Make the tables when there are none, for a transaction that is not the log's own.

        In a transaction of their own, so that nobody waits for the end of the caller's; but on SQLite in the caller's,
        whose lock that other one would wait for. They are then gone if the caller rolls back.
        """
        if self._has_tables:
            return
        if connection.dialect.name != "sqlite":
            with self.begin():
                return  # made, in a transaction that commits here
        take_write_lock(connection)
        made_in, transaction = connection.info.get(SETTING), connection.get_transaction()
        if ensure_schema(connection):
            connection.info[SETTING] = transaction
        elif made_in is not transaction:
            self._has_tables = True


def clock(connection: Connection) -> float:
    """Return the time of the database, in seconds since 1970 UTC; SQLite's is the machine's."""
    if connection.dialect.name == "sqlite":
        return time.time() + travel.ahead
    return t.cast(float, connection.scalar(select(CLOCK))) + travel.ahead
