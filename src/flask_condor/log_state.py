"""The state of the event log, as a command finds it that changes nothing: it makes no database and no tables."""

from __future__ import annotations

import sqlite3
import typing as t
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from sqlalchemy import Select
from sqlalchemy import and_
from sqlalchemy import case
from sqlalchemy import create_engine
from sqlalchemy import func
from sqlalchemy import literal
from sqlalchemy import select
from sqlalchemy import true
from sqlalchemy.engine import Connection
from sqlalchemy.engine import Engine
from sqlalchemy.pool import NullPool

from .bus import BUS
from .bus import ours
from .counting import Counted
from .counting import count_some
from .database import explained
from .database import is_in_memory
from .errors import SchemaMismatch
from .file_guard import file_of
from .gauges import MOST_LANES
from .lanes import lanes_of
from .log import clock
from .models import DEAD
from .models import PENDING
from .models import RUNNING
from .models import VERSION
from .models import deliveries
from .models import events
from .pauses import not_paused
from .schema import version_in
from .sqlite_file import BUSY
from .sqlite_file import READING

if t.TYPE_CHECKING:
    from .log import Log
    from .registry import Registry

Looked = Select[str, str, str]
LOOKED_INTO = (deliveries.c.event_id, deliveries.c.job, deliveries.c.error)
NONE = Counted(0, is_more=False)


@contextmanager
def look_into(log: Log) -> Iterator[Connection | None]:
    """Open a connection that only reads; None when there is no database.

    On SQLite one of its own, as Condor's engine would put the file in WAL mode.

    :raises LogUnavailable: when the database fails.
    """
    is_file = log.url.get_backend_name() == "sqlite" and not is_in_memory(log.url)
    if not log.is_there:
        yield None
        return
    with explained("the event log was not read"):
        engine = reading_engine(log) if is_file else log.engine
        with engine.connect().execution_options(**{READING: True}) as connection:
            yield connection


@contextmanager
def peek(log: Log) -> Iterator[Connection | None]:
    """Do as :func:`look_into`; yield None when there are no tables either.

    :raises SchemaMismatch: for tables of another version.
    """
    with look_into(log) as connection:
        version = None if connection is None else version_in(connection)
        if version is not None and version != VERSION:
            raise SchemaMismatch(version, VERSION)
        yield None if version is None else connection


def reading_engine(log: Log) -> Engine:
    uri = f"{Path(file_of(log.url)).resolve().as_uri()}?mode=ro"
    engine = create_engine(
        "sqlite://", creator=lambda: sqlite3.connect(uri, timeout=BUSY, uri=True), poolclass=NullPool
    )
    return engine.execution_options(**{BUS: log.bus})


def unknown_jobs(connection: Connection, registry: Registry, most: int | None = None) -> list[tuple[str, str, Counted]]:
    """Return the event names and jobs of deliveries that no registration stands for, and how many each has.

    Of those that are pending, and of those whose worker was lost: only one that knows the job takes them back.

    :param most: how many deliveries of each queue and priority are looked at; what no job runs stays at the head.
    """
    found = count_waiting(connection, [*heads(connection, most), left_behind(connection).limit(most)], most)
    return [(one.name, one.job, one.count) for one in found if registry.job_named(one.name, one.job) is None]


def unread_payloads(connection: Connection, most: int | None = None) -> list[tuple[str, str, Counted]]:
    """Return the event names and jobs of pending deliveries whose payload a worker could not read, likewise."""
    found = count_waiting(connection, heads(connection, most), most)
    return [(one.name, one.job, one.unread) for one in found if one.unread.count]


class Waiting(msgspec.Struct, frozen=True):
    """How many deliveries of one event and job wait, and how many of them as a worker could not read the payload."""

    name: str
    job: str
    count: Counted
    unread: Counted


def count_waiting(connection: Connection, looked_at: list[Looked], most: int | None) -> list[Waiting]:
    found: dict[tuple[str, str], Waiting] = {}
    for statement in looked_at:
        some = statement.subquery()
        is_unread = some.c.error.like(literal("PayloadInvalid: the payload of event '") + events.c.name + "' %")
        counts = select(events.c.name, some.c.job, func.count(), func.sum(case((is_unread, 1), else_=0)))
        named = counts.join_from(some, events, events.c.id == some.c.event_id)
        rows = connection.execute(named.group_by(events.c.name, some.c.job)).all()
        is_more = sum(count for _, _, count, _ in rows) == most
        for name, job, count, unread in rows:
            before = found.get((name, job), Waiting(name, job, NONE, NONE))
            both = before.count + Counted(count, is_more), before.unread + Counted(unread, is_more)
            found[name, job] = Waiting(name, job, *both)
    return sorted(found.values(), key=lambda one: (one.name, one.job))


def heads(connection: Connection, most: int | None) -> list[Looked]:
    """Return the statements for the first *most* pending deliveries of each queue and priority, or for all."""
    waiting = select(*LOOKED_INTO).where(PENDING, ours(connection, deliveries))
    if most is None:
        return [waiting]
    first = waiting.order_by(deliveries.c.due_at, deliveries.c.id).limit(most)
    lanes = lanes_of(connection)[:MOST_LANES]
    return [first.where(deliveries.c.queue == queue, deliveries.c.priority == priority) for queue, priority in lanes]


def left_behind(connection: Connection) -> Looked:
    """Return the statement for those that a worker had in hand which was lost, and that none has taken back."""
    is_lost = and_(RUNNING, deliveries.c.lease_until < clock(connection))
    return select(*LOOKED_INTO).where(is_lost, ours(connection, deliveries))


def count_dead(connection: Connection) -> Counted:
    """Return how many deliveries are dead, as far as that is quick."""
    dead = select(true().label("is_chosen")).where(DEAD, ours(connection, deliveries))
    return count_some(connection, dead.order_by(deliveries.c.id))


def count_due(connection: Connection) -> Counted:
    """Return how many deliveries are due, and not paused, as far as that is quick."""
    is_due = and_(deliveries.c.due_at <= clock(connection), not_paused(connection)).label("is_chosen")
    return count_some(connection, select(is_due).where(PENDING, ours(connection, deliveries)))
