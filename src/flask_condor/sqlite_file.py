"""An SQLite file: how those who write to it take turns, and when its write-ahead log is moved into it."""

from __future__ import annotations

import fcntl
import random
import sqlite3
import time
import typing as t

from sqlalchemy import event
from sqlalchemy.engine import Connection
from sqlalchemy.engine import Engine

from .file_guard import FileGuard

BUSY = 10.0
"""Seconds to wait for another process's write to an SQLite file: a lock of 5, and the turns of those who wait too."""
SHORT_NAP, LONG_NAP = 0.0004, 0.002
"""Seconds between two tries at most, at first and after 0.05 s."""
READING = "condor_reading"
"""The execution option of a transaction that only reads: on SQLite it takes no write lock."""
COMMITS_PER_CHECKPOINT = 200
LONG_WAL = 3000
"""Pages of a write-ahead log, 12 MB of them, above which others have to wait until all are moved."""
CHECKPOINT_TURN = 0.02
"""Seconds that such a checkpoint waits for those who write and read, each; then it moves what it may."""


def attend(engine: Engine, path: str, *, is_of_app: bool) -> None:
    """Let all connections of *engine* to the file at *path* be set up, take turns, and guard it.

    :param is_of_app: whether the file is the app's, whose journal mode and checkpoints are not ours to change.
    """
    event.listen(engine, "connect", set_up_connection)
    event.listen(engine, "begin", begin)
    FileGuard(path).watch(engine)
    if not is_of_app:
        event.listen(engine, "connect", use_wal)
        checkpointer = Checkpointer(path)
        event.listen(engine, "commit", checkpointer.count)
        event.listen(engine, "checkin", checkpointer.checkpoint)


def set_up_connection(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None
    for setting in (f"busy_timeout = {BUSY * 1000:.0f}", "synchronous = FULL", "mmap_size = 0"):
        connection.execute(f"PRAGMA {setting}")


def use_wal(connection: sqlite3.Connection, _: object) -> None:
    """Put the file in WAL mode, in which nothing but the beginning of a transaction has to wait for others."""
    connection.execute("PRAGMA busy_timeout = 0")
    execute_patiently(connection, "PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")


def begin(connection: Connection) -> None:
    """Begin a transaction; a writing one waits up to BUSY seconds for its turn.

    Not by SQLite's own busy timeout: its waits grow to 0.1 s, and a process that waits so starves beside one that
    writes without a pause. Short naps of random length give each its turn: of the length of a write at first, and
    longer for a lock that is held for long.
    """
    if connection.get_execution_options().get(READING):
        connection.exec_driver_sql("BEGIN")
        return
    raw = t.cast(sqlite3.Connection, connection.connection.dbapi_connection)
    execute_patiently(raw, "BEGIN IMMEDIATE")


def execute_patiently(connection: sqlite3.Connection, statement: str) -> None:
    until, longest = time.monotonic() + BUSY, SHORT_NAP
    while True:
        try:
            connection.execute(statement)
            return
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() > until:
                raise
        time.sleep(random.uniform(longest / 8, longest))
        longest = min(longest * 1.03, LONG_NAP)


def is_busy(error: BaseException | None) -> bool:
    return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


class Checkpointer:
    """Moves the write-ahead log of an SQLite file into it now and then, in one process at a time.

    SQLite before 3.51.3 can corrupt a file when two connections checkpoint at once (its release notes call it the
    WAL-reset bug), so its automatic checkpoints are off on Condor's connections, and a lock file lets one of them in.
    """

    def __init__(self, path: str) -> None:
        self._lock = f"{path}-checkpoint"
        self._commits = 0

    def count(self, connection: Connection) -> None:
        """Count the end of a transaction that may have written."""
        if not connection.get_execution_options().get(READING):
            self._commits += 1

    def checkpoint(self, connection: sqlite3.Connection | None, _: object) -> None:
        """Checkpoint on a connection that goes back to its pool, when enough was written and no one else does."""
        if self._commits < COMMITS_PER_CHECKPOINT or connection is None:
            return
        self._commits = 0
        try:
            with open(self._lock, "a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                move(connection)
        except (OSError, sqlite3.Error):
            return  # another process is at it, or the disk is full: the next round tries again


def move(connection: sqlite3.Connection) -> None:
    """Move a write-ahead log into its file, as far as nobody has to wait for it; all of one that has become long.

    Beside one who writes on, such a passive checkpoint comes to no end: the log grows, and to flush a file that grows
    takes twice as long.
    """
    _, pages, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    if pages > LONG_WAL:
        move_whole(connection)


def move_whole(connection: sqlite3.Connection) -> None:
    """Move all of a write-ahead log into its file, with nobody writing meanwhile, so that it begins anew."""
    connection.execute(f"PRAGMA busy_timeout = {CHECKPOINT_TURN * 1000:.0f}")
    try:
        connection.execute("PRAGMA wal_checkpoint(FULL)").fetchall()
    finally:
        connection.execute("PRAGMA busy_timeout = 0")
