"""The diagnosis of the event log: its database and tables, the transactions it joins, its workers and what waits."""

from __future__ import annotations

import os
import shlex
import sqlite3
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import func
from sqlalchemy import select
from sqlalchemy.engine import Connection
from sqlalchemy.engine import Engine

from .bus import ours
from .disabled import all_disabled
from .file_guard import file_of
from .joining import Joining
from .log import clock
from .log_state import count_dead
from .log_state import count_due
from .log_state import look_into
from .log_state import peek
from .log_state import unknown_jobs
from .log_state import unread_payloads
from .models import VERSION
from .models import workers
from .pauses import pauses_of
from .presence import UNSEEN
from .remarks import Remark
from .sqlite_file import BUSY

if t.TYPE_CHECKING:
    from sqlalchemy.orm import scoped_session

    from .log import Log
    from .manager import EventsManager

FIXED_WAL = (3, 51, 3)
"""The first SQLite that does not damage a file when two connections checkpoint its write-ahead log at once."""
SHARED = ("nfs", "cifs", "smb", "9p", "fuse.sshfs", "ceph", "gluster", "lustre")
"""File systems over a network, on which SQLite's locks and shared memory do not hold."""
FLASK_SQLALCHEMY = 'more, by app.config: SQLALCHEMY_ENGINE_OPTIONS = {"connect_args": {"timeout": 20}}'
CLOSE = 1.0
"""Seconds by which two clocks may differ."""
LOOKED_AT = 500
"""How many deliveries of each queue and priority are looked at for those that no job runs: some 3 ms."""


def look_at_database(manager: EventsManager) -> Iterator[Remark]:
    """Tell where the log is kept, and whether that can be reached."""
    log = manager.log
    log.check()
    with look_into(log) as connection:
        if connection is None:
            yield from look_at_folder(Path(file_of(log.url)))
            return
        connection.scalar(select(1))
        yield Remark("ok", "database", f"{log.url.render_as_string(hide_password=True)} is reached")
        if connection.dialect.name == "sqlite":
            is_of_app = manager.config.database_url is None and "sqlalchemy" in manager.app.extensions
            yield from look_at_sqlite(connection, file_of(log.url), is_of_app=is_of_app)
        else:
            yield from look_at_clock(connection)


def look_at_tables(manager: EventsManager) -> Iterator[Remark]:
    """Tell whether the tables are there, and of this code's version."""
    with peek(manager.log) as connection:
        there = f"there, of version {VERSION}"
        yield Remark("ok", "tables", there if connection else "not made yet: the first event that is kept makes them")


def look_at_folder(path: Path) -> Iterator[Remark]:
    """Tell whether a database that is not there yet can be made."""
    folder = next(folder for folder in path.parents if folder.exists())
    if os.access(folder, os.W_OK | os.X_OK):
        yield Remark("ok", "database", f"{path} is not made yet: the first event that is kept makes it")
    else:
        said = f"{path} cannot be made: this user may not write to {folder}. Change that, or CONDOR_DATABASE_URL."
        yield Remark("error", "database", said)


def look_at_sqlite(connection: Connection, path: str, *, is_of_app: bool) -> Iterator[Remark]:
    """Tell what SQLite's version, journal and file system mean for the log."""
    mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
    said = f"version {sqlite3.sqlite_version}, journal mode {mode}"
    system = file_system_of(path)
    if not path or path == ":memory:":
        said = "the app's is in memory: what is queued ends with the process, and no worker sees it. Give it a file."
        yield Remark("warning", "SQLite", said)
    elif not os.access(path, os.W_OK):
        yield Remark(
            "error", "SQLite", f"{path} may not be written by this user. Change the rights of file and folder."
        )
    elif system.startswith(SHARED):
        advice = f"{path} is on {system}, over which SQLite may damage it. Use a local disk, or PostgreSQL."
        yield Remark("error", "SQLite", advice)
    elif is_of_app and mode == "wal" and sqlite3.sqlite_version_info < FIXED_WAL:
        advice = "before 3.51.3 two checkpoints at once can damage a file. Upgrade SQLite, or give the event log a file"
        yield Remark("warning", "SQLite", f"{said}: {advice} of its own by CONDOR_DATABASE_URL.")
    else:
        yield Remark("ok", "SQLite", said)


def file_system_of(path: str) -> str:
    """Return the kind of file system that *path* is on, as Linux names it, or "" where it cannot be told."""
    real, found = os.path.realpath(path), ("", "")
    try:
        mounts = Path("/proc/mounts").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    for _, point, kind, *_ in (line.split() for line in mounts):
        below = real.startswith(os.path.join(point, ""))
        found = (point, kind) if below and len(point) >= len(found[0]) else found
    return found[1]


def look_at_clock(connection: Connection) -> Iterator[Remark]:
    """Tell how far the server's clock is from this machine's."""
    before = time.time()
    theirs = clock(connection)
    ahead = theirs - (before + time.time()) / 2
    if abs(ahead) > CLOSE:
        said = f"the server's is {abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} this machine's"
        yield Remark("warning", "clock", f"{said}: what is due is due by the server's. Synchronise both by NTP.")
    else:
        yield Remark("ok", "clock", f"within {CLOSE:g} s of the server's")


def look_at_transactions(manager: EventsManager) -> Iterator[Remark]:
    """Tell whether queued events join the app's own transactions, and whether its engine waits for locks."""
    app, log = manager.app, manager.log
    of_app: scoped_session[t.Any] | None = getattr(app.extensions.get("sqlalchemy"), "session", None)
    scoped: scoped_session[t.Any] | None = manager.registry._session or of_app
    if scoped is None:
        said = "queued events commit by themselves, save those fired with session=; Condor(app, session=...) joins all"
        yield Remark("ok", "transactions", said)
        return
    with scoped.session_factory() as session:
        engine = session.get_bind().engine
        if is_of_missing_file(engine) or not log.is_there:
            is_joined = is_alike(engine, log)
        else:
            is_joined = Joining(log).connection_of(session) is not None
    if is_joined:
        yield Remark("ok", "transactions", "queued events commit and roll back with the app's own rows")
        how = 'connect_args={"timeout": 20}' if scoped is not of_app else FLASK_SQLALCHEMY
        yield from look_at_timeout(engine, how)
    else:
        said = (
            "queued events are written right after the app's commit, as its database is not the event log's: killed in"
        )
        yield Remark("warning", "transactions", f"{said} between, they are lost. Keep both in one database.")


def is_of_missing_file(engine: Engine) -> bool:
    return engine.dialect.name == "sqlite" and not Path(file_of(engine.url)).exists()


def is_alike(engine: Engine, log: Log) -> bool:
    """Tell whether an engine's database will be the log's, as far as their URLs tell."""
    if engine.dialect.name != "sqlite" or log.url.get_backend_name() != "sqlite":
        return engine.url == log.url
    return os.path.realpath(file_of(engine.url)) == os.path.realpath(file_of(log.url))


def look_at_timeout(engine: Engine, how: str) -> Iterator[Remark]:
    """Tell whether the app's own engine gives a writer of the same SQLite file its turn."""
    if engine.dialect.name != "sqlite" or is_of_missing_file(engine):
        return
    with engine.connect() as connection:
        seconds = (connection.exec_driver_sql("PRAGMA busy_timeout").scalar() or 0) / 1000
    if seconds < BUSY:
        said = f"the app's engine gives up after {seconds:g} s when SQLite is locked, and a worker writes often."
        yield Remark("warning", "timeout", f"{said} Give it {how}.")
    else:
        yield Remark("ok", "timeout", f"the app's engine waits {seconds:g} s for a locked SQLite file")


def look_at_deliveries(manager: EventsManager) -> Iterator[Remark]:
    """Tell of workers, of what waits, is dead, or has no job any more."""
    with peek(manager.log) as connection:
        if connection is not None:
            yield from look_at_queue(connection)
            for name, job, count in unknown_jobs(connection, manager.registry, LOOKED_AT):
                said = f"{count} of event {name!r} wait for job {job}, which is not registered. Register it again,"
                yield Remark("error", "deliveries", f"{said} or cancel them: `flask events cancel ID`.")
            for name, job, count in unread_payloads(connection, LOOKED_AT):
                said = f"{count} of event {name!r} wait for job {job} in a release that can read them. Start it,"
                yield Remark("error", "deliveries", f"{said} or cancel them: `flask events cancel ID`.")


def look_at_queue(connection: Connection) -> Iterator[Remark]:
    seen = select(func.count()).where(workers.c.seen_at > clock(connection) - UNSEEN, ours(connection, workers))
    alive, due, dead = connection.scalar(seen) or 0, count_due(connection), count_dead(connection)
    if alive or not due.count:
        yield Remark("ok", "workers", f"{alive} seen in the last {UNSEEN:.0f} s, {due} deliveries due")
    else:
        yield Remark("warning", "workers", f"{due} waiting, no worker seen: run `flask events worker`.")
    for one in pauses_of(connection):
        said = f"{one.kind} {one.name!r}, by {one.actor}: nothing of it is run. `flask events resume --{one.kind}"
        yield Remark("warning", "paused", f"{said} {shlex.quote(one.name)}` lets it go on.")
    if dead.count:
        yield Remark(
            "warning",
            "dead",
            f"{dead} dead: `flask events log --state dead` shows them, `flask events retry ID` runs one again.",
        )


def look_at_webhooks(manager: EventsManager) -> Iterator[Remark]:
    """Tell of those that were answered with 410 Gone."""
    with peek(manager.log) as connection:
        count = 0 if connection is None else len(all_disabled(connection))
    if count:
        said = f"{count:,} disabled by 410 Gone, so nothing is sent there: `flask events webhook list` shows which,"
        yield Remark("warning", "webhooks", f"{said} `flask events webhook enable NAME` lets it go on.")


STEPS = [look_at_database, look_at_tables, look_at_transactions, look_at_deliveries, look_at_webhooks]
