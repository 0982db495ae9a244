"""The event log: which database it is kept in, and how an event and its deliveries are written to it and read back."""

from __future__ import annotations

import time
import typing as t
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from sqlalchemy import select
from sqlalchemy.engine import URL
from sqlalchemy.engine import Connection
from sqlalchemy.engine import Engine

from . import travel
from .bus import BUS
from .bus import bus_of
from .database import check_backend
from .database import check_url
from .database import executor_of
from .database import explained
from .database import is_in_memory
from .database import is_psycopg
from .database import open_database
from .database import renew_after_fork
from .errors import EventIdTaken
from .errors import SchemaMismatch
from .event import Event
from .family import refuse_large_family
from .file_guard import file_of
from .models import VERSION
from .models import events
from .redacting import IS_STORED
from .redacting import REDACTION
from .redacting import redacted
from .redacting import redaction_of
from .redaction import redaction_by
from .rows import NO_RECEIPT
from .rows import Deliverable
from .rows import delivery_row
from .rows import event_row
from .schema import ensure_schema
from .schema import no_rows
from .schema import take_write_lock
from .schema import version_in
from .sqlite_file import READING
from .statements import ADD_DELIVERIES
from .statements import ADD_DELIVERIES_DUE_IN
from .statements import ADD_DELIVERY
from .statements import CLOCK
from .statements import NOTIFY
from .statements import accept
from .statements import accept_by_psycopg
from .statements import add_event

if t.TYPE_CHECKING:
    from flask import Flask

    from .config import Config
    from .due import Due

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


def write_event(  # noqa: PLR0913  # the last two by keyword
    connection: Connection,
    event: Event[t.Any],
    payload: str,
    jobs: Sequence[Deliverable],
    due: Due,
    *,
    replay_of: str | None = None,
    bus: str | None = None,
    receipt: Mapping[str, t.Any] = NO_RECEIPT,
) -> bool:
    """Write *event* with a pending delivery for each of *jobs*; return False when an event of its id is there already.

    :param payload: as :func:`~flask_condor.payload.to_json` gives it.
    :param replay_of: the id of the event that this one repeats.
    :param bus: that of *connection* when None; the connection of a caller has none.
    :param receipt: of an event that came over HTTP, its columns in their order.
    :raises EventIdTaken: when that is of another name, or on another bus.
    :raises EventLoop: when the root of *event* has led to too many others already.
    """
    bus = bus or bus_of(connection)
    payload, is_redacted = redacted(payload, None if jobs else redaction_of(connection))
    row = event_row(
        event, payload, bus, is_orphan=not jobs, is_redacted=is_redacted, replay_of=replay_of, receipt=receipt
    )
    if connection.dialect.name != "sqlite":
        is_new = accept_on_server(connection, len(jobs), row | parameters_of(jobs, due))
    elif is_new := executor_of(connection)(*add_event(row)).rowcount:
        write_deliveries(connection, event.id, jobs, due, bus)
    if is_new and row["root_id"] != row["id"]:
        refuse_large_family(connection, row["root_id"], (*event._origin.path, event.name) if event._origin else ())
    if not is_new:
        refuse_other_event(connection, event, bus)
    return bool(is_new)


def accept_on_server(connection: Connection, jobs: int, parameters: dict[str, t.Any]) -> bool:
    if is_psycopg(connection):
        return executor_of(connection)(accept_by_psycopg(jobs), parameters).fetchone() is not None
    return connection.execute(accept(jobs), parameters).first() is not None


def refuse_other_event(connection: Connection, event: Event[t.Any], bus: str) -> None:
    stored = connection.execute(select(events.c.name, events.c.bus).where(events.c.id == event.id)).one_or_none()
    if stored is not None and tuple(stored) != (event.name, bus):
        raise EventIdTaken(event.id, repr(stored.name) if stored.bus == bus else f"of bus {stored.bus!r}", event.name)


def parameters_of(jobs: Sequence[Deliverable], due: Due) -> dict[str, t.Any]:
    found: dict[str, t.Any] = {"at": due.at, "wait": due.wait + travel.ahead}
    for number, job in enumerate(jobs):
        found |= {f"job{number}": job.path, f"queue{number}": job.rules.queue, f"priority{number}": job.rules.priority}
    return found


def write_deliveries(connection: Connection, event_id: str, jobs: Sequence[Deliverable], due: Due, bus: str) -> None:
    """Write a pending delivery of the event for each of *jobs*, and wake the workers at commit."""
    if not jobs:
        return
    wait_from_now = due.wait + travel.ahead
    if connection.dialect.name == "sqlite":
        at = time.time() + wait_from_now if due.at is None else due.at
        execute = executor_of(connection)
        for job in jobs:
            execute(ADD_DELIVERY, (*delivery_row(event_id, job, bus).values(), at))
        return
    wait = {"wait": wait_from_now} if due.at is None else {"due_at": due.at}
    statement = ADD_DELIVERIES_DUE_IN if due.at is None else ADD_DELIVERIES
    connection.execute(statement, [delivery_row(event_id, job, bus) | wait for job in jobs])
    wake_workers(connection)


def wake_workers(connection: Connection) -> None:
    """Tell the workers, at commit, that something is due; those on SQLite see it by themselves."""
    if connection.dialect.name != "sqlite":
        connection.execute(NOTIFY)
