"""The outbox: writes an event with its queued deliveries to the log, in the caller's own transaction where it can."""

from __future__ import annotations

import sqlite3
import time
import typing as t
from collections.abc import Sequence
from functools import partial

from sqlalchemy.engine import Connection

from .database import FAILURES
from .database import unavailable
from .deferral import Deferral
from .due import NOW
from .due import Due
from .errors import CondorError
from .errors import LogUnavailable
from .joining import Joining
from .joining import Write
from .joining import commits_by_itself
from .joining import write_event_in
from .joining import write_in
from .line import tell
from .log import Log
from .rows import Deliverable
from .sqlite_file import is_busy
from .transactions import hold
from .writing import write_deliveries
from .writing import write_event

if t.TYPE_CHECKING:
    from .context import Context
    from .event import Event
    from .transactions import Sessions
    from .typed_names import TypedNames

AT_ONCE = 0.1
"""Seconds within which a lock is refused without having been waited for."""
READ_BEFORE = (
    "the database is locked, and SQLite does not wait for a transaction that has read before it writes."
    " Fire, or write, before the first read of the transaction, or begin it with BEGIN IMMEDIATE; then try again."
)


class Outbox:
    """Accepts the queued events of one app.

    Accepted means: written to the log. In a session's transaction that is when it commits, and not at all when it
    rolls back; with no transaction it is when :meth:`enqueue` returns. A transaction in another database than the
    log's cannot take the event along: it is then written right after that commit, and lost when the process is killed
    in between.
    """

    def __init__(self, log: Log, sessions: Sessions, typed_names: TypedNames) -> None:
        self._log = log
        self._to_json = typed_names.to_json
        self._sessions = sessions
        self._joining = Joining(log)

    def enqueue(
        self, event: Event[t.Any], jobs: Sequence[Deliverable], due: Due, ctx: Context, session: object = None
    ) -> None:
        """Write *event* with a delivery for each of *jobs*; one with the same id is there once, whoever writes it.

        :param session: of SQLAlchemy; by default the app's, when that has a transaction open.
        :raises PayloadNotSerializable: when JSON cannot hold the payload; nothing is written.
        :raises LogUnavailable: when the log cannot be written; a joined transaction is as it was.
        :raises EventIdTaken: when an event of another name has its id.
        :raises EventLoop: when the event's root has led to too many others.
        :raises SessionInvalid: for a *session* that is none.
        """
        payload = self._to_json(event)
        bus = self._log.bus
        self._write(event, ctx, session, lambda connection: write_event(connection, event, payload, jobs, due, bus=bus))

    def enqueue_one(self, event: Event[t.Any], job: Deliverable, ctx: Context) -> None:
        """Write the delivery of a single job, also of an event that is in the log already: for Blinker's ``send``."""
        payload = self._to_json(event)
        bus = self._log.bus

        def write(connection: Connection) -> None:
            if not write_event(connection, event, payload, [job], NOW, bus=bus):
                write_deliveries(connection, event.id, [job], NOW, bus)

        self._write(event, ctx, None, write, adds_to_old=True)

    def _write(
        self, event: Event[t.Any], ctx: Context, given: object, write: Write, *, adds_to_old: bool = False
    ) -> None:
        """Write in the transaction that *event* belongs to.

        :param adds_to_old: whether *write* adds a delivery also to an event that is in the log already.
        """
        session = self._sessions.to_join(given)
        if session is None:
            self._write_alone(event, write)
            return
        try:
            connection = self._joining.connection_of(session)
        except FAILURES as error:
            raise unavailable(not_accepted(event), error) from error
        if connection is None:
            hold(session, Deferral(event, queued_jobs, lambda *_: self._write_late(event, write, ctx), ctx))
            return
        raw = connection.connection.dbapi_connection
        if commits_by_itself(raw):
            self._write_alone(event, write)
        else:
            self._write_in(connection, raw, event, write, adds_to_old=adds_to_old)
            hold(session, Written(event, ctx))

    def _write_in(
        self, connection: Connection, raw: object, event: Event[t.Any], write: Write, *, adds_to_old: bool
    ) -> None:
        begun = time.monotonic()
        try:
            if isinstance(raw, sqlite3.Connection) and self._log.has_tables and not adds_to_old:
                write_event_in(connection, raw, event.id, write)
            else:
                write_in(connection, partial(self._write_with_tables, write))
        except FAILURES as error:
            if is_busy(getattr(error, "orig", error)) and time.monotonic() - begun < AT_ONCE:
                raise LogUnavailable(f"{not_accepted(event)}: {READ_BEFORE}") from error
            raise unavailable(not_accepted(event), error) from error

    def _write_alone(self, event: Event[t.Any], write: Write) -> None:
        with self._log.begin(not_accepted(event)) as connection:
            write(connection)

    def _write_with_tables(self, write: Write, connection: Connection) -> None:
        self._log.ensure_tables_in(connection)
        write(connection)

    def _write_late(self, event: Event[t.Any], write: Write, ctx: Context) -> None:
        try:
            self._write_alone(event, write)
        except CondorError as error:
            tell(
                ctx.logger,
                "event_lost",
                "event %s of a committed transaction is lost: %s Fire it again.",
                event.name,
                error,
                event_id=event.id,
                event_name=event.name,
            )


class Written(Deferral):
    """Stands for an event among what its transaction holds: nothing is left to be run, but a forgotten commit is told.

    So it keeps no copy of the request, which cost a tenth of the fire.
    """

    def __init__(self, event: Event[t.Any], ctx: Context) -> None:
        self.event = event
        self.job = self.path = queued_jobs.__name__
        self.logger = ctx.logger
        self.request = ctx.request

    def run(self) -> None:
        """Do nothing: the workers see the event by now."""


def queued_jobs(event: object, ctx: object) -> None:
    """Name, in a log line, what was to follow from an event; the workers call the jobs themselves."""


def not_accepted(event: Event[t.Any]) -> str:
    return f"event {event.name} was not accepted"
