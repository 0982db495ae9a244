"""The bell: tells a waiting worker that something was written to the event log, soon after the commit."""

from __future__ import annotations

import logging
import select
import sqlite3
import time
import typing as t
from contextlib import suppress
from pathlib import Path
from socket import socketpair
from threading import Thread

from .errors import shorten
from .file_guard import file_of
from .file_guard import identity_of
from .line import tell
from .watch import Watch

if t.TYPE_CHECKING:
    from sqlalchemy.engine import Engine

POLL = 0.008
"""Seconds between two looks at an SQLite file that cannot be watched: a look takes 3 µs, the nap before it far more."""
REST = 0.1
"""Seconds between two looks at one that is watched and was not written to."""
BRISK = 0.002
"""Seconds between two looks at one that was: its last write comes before the flush, and that before the commit."""
FLUSH = 0.03
"""Seconds that a flush usually takes at most."""
RECONNECT = 1.0
"""Seconds between two tries to listen to a PostgreSQL server that is gone."""

logger = logging.getLogger(__name__)


def bell_of(engine: Engine) -> Bell:
    """Return the bell of the log's database: new writes ring it on SQLite, notifications on PostgreSQL."""
    if engine.dialect.name == "sqlite":
        return FileBell(file_of(engine.url))
    return ServerBell(engine) if engine.dialect.driver == "psycopg" else Bell()


class Bell:
    """Wakes a worker; this one rings all the time, for drivers that cannot tell of a write.

    :meth:`wake` may be called from any thread, and from a signal handler.
    """

    slice: float = 0.2
    """Seconds between two looks at whether it rang."""

    def __init__(self) -> None:
        self._reader, self._writer = socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._poll = select.poll()
        self._poll.register(self._reader, select.POLLIN)
        self._looked = 0.0

    def wake(self) -> None:
        """End the wait that is going on, or the next one."""
        with suppress(OSError):
            self._writer.send(b"!")

    def wait(self, timeout: float) -> bool:
        """Wait until the bell rings, :meth:`wake` is called or *timeout* seconds have passed; tell whether it rang."""
        until = time.monotonic() + timeout
        while not self._rang():
            left = until - time.monotonic()
            if left <= 0:
                return False
            for descriptor, _ in self._poll.poll(min(self.slice, left) * 1000):
                if descriptor == self._reader.fileno():
                    self._forget_wakes()
                    return self._rang()
                self._heed()
        return True

    def _heed(self) -> None:
        """Take note of what another descriptor has to tell."""

    def close(self) -> None:
        """Let go of its connection."""
        self._reader.close()
        self._writer.close()

    def _rang(self) -> bool:
        now = time.monotonic()
        rang = now - self._looked >= self.slice
        self._looked = now if rang else self._looked
        return rang

    def _forget_wakes(self) -> None:
        with suppress(OSError):
            while self._reader.recv(4096):
                pass


class FileBell(Bell):
    """Rings when another connection has written to an SQLite file, and when the file was deleted or replaced.

    It never makes one: a missing file stays missing, and the worker that it wakes tells of that.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self.slice = POLL
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._version: object = None
        self._file: object = None
        self._watch: Watch | None = None
        self._written_at = 0.0
        with suppress(OSError):
            self._watch = Watch(path)
            self._poll.register(self._watch, select.POLLIN)

    def _heed(self) -> None:
        if self._watch and self._watch.was_written():
            self._written_at = time.monotonic()

    def _rang(self) -> bool:
        if self._watch:
            self.slice = BRISK if time.monotonic() - self._written_at < FLUSH else REST
        before = self._version
        file = identity_of(self._path)
        if file != self._file:
            self._let_go()
            self._file, self._version = file, None
        with suppress(sqlite3.Error, OSError):
            if self._connection is None:
                self._connection = sqlite3.connect(existing(self._path), isolation_level=None, uri=True)
            self._version = (file, *self._connection.execute("PRAGMA data_version").fetchone())
        return self._version != before

    def _let_go(self) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None

    def close(self) -> None:
        super().close()
        if self._watch:
            self._watch.close()
        self._let_go()


def existing(path: str) -> str:
    """Return the URI by which SQLite opens the file at *path*, and makes none where there is none."""
    return f"{Path(path).resolve().as_uri()}?mode=rw"


class ServerBell(Bell):
    """Rings when a transaction that notified channel ``condor`` has committed on a PostgreSQL server."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine
        self._has_rung = True
        self._closed = False
        Thread(target=self._listen, name="condor-bell", daemon=True).start()

    def _rang(self) -> bool:
        rang, self._has_rung = self._has_rung, False
        return rang

    def _listen(self) -> None:
        while not self._closed:
            try:
                self._listen_once()
            except Exception as error:  # the listener's border: it must outlive every outage of the server
                tell(logger, "bell_silent", "the bell is silent: %s; the event log is polled", shorten(error))
                time.sleep(RECONNECT)

    def _listen_once(self) -> None:
        fairy = self._engine.raw_connection()
        fairy.detach()
        connection: t.Any = fairy.dbapi_connection
        try:
            connection.rollback()
            connection.autocommit = True
            connection.execute("LISTEN condor")
            self._ring()
            while not self._closed:
                for _ in connection.notifies(timeout=5.0, stop_after=1):
                    self._ring()
        finally:
            connection.close()

    def _ring(self) -> None:
        self._has_rung = True
        self.wake()

    def close(self) -> None:
        self._closed = True
        super().close()
