"""The tables of the event log: what was fired, and one delivery per event and job, which is history and queue at once.

Times are seconds since 1970 UTC, as floats. ``bus`` is that of the app (see :mod:`~flask_condor.bus`); ids are unique
in a database, whatever the bus. The states of a delivery:

    pending -> running -> done | dead        a failed attempt goes back to pending
    pending -> cancelled
"""

from __future__ import annotations

import typing as t

from sqlalchemy import BigInteger
from sqlalchemy import Boolean
from sqlalchemy import Column
from sqlalchemy import Double
from sqlalchemy import ForeignKey
from sqlalchemy import Index
from sqlalchemy import Integer
from sqlalchemy import MetaData
from sqlalchemy import String
from sqlalchemy import Table
from sqlalchemy import Text
from sqlalchemy import literal_column

VERSION = 1
"""The version of the tables as they stand here."""

State = t.Literal["pending", "running", "done", "dead", "cancelled"]

metadata = MetaData()
Serial = BigInteger().with_variant(Integer(), "sqlite")

versions = Table("condor_schema", metadata, Column("version", Integer, primary_key=True, autoincrement=False))

events = Table(
    "condor_events",
    metadata,
    Column("id", String(255), primary_key=True),
    Column("name", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("is_replayable", Boolean, nullable=False),
    Column("is_orphan", Boolean, nullable=False),
    Column("source", String(16), nullable=False),
    Column("fired_at", Double, nullable=False),
    Column("root_id", String(255), nullable=False),
    Column("path", Text, nullable=False),
    Column("cause_id", String(255)),
    Column("cause_name", Text),
    Column("cause_job", Text),
    Column("replay_of", String(255)),
    Column("trace", String(55)),
    Column("bus", String(64), nullable=False),
    Index("condor_fired", "bus", "fired_at"),
)
"""``payload`` is JSON, or a JSON text holding its ``repr`` when ``is_replayable`` is false; ``path`` is the JSON list
of the names of the events that led here, from the root down; ``root_id`` is the id of the root event, its own for a
root; the three ``cause_`` columns name the run that fired it; ``trace`` is the W3C traceparent of the fire, if any."""

Index(
    "condor_descendants",
    events.c.root_id,
    sqlite_where=events.c.root_id != events.c.id,
    postgresql_where=events.c.root_id != events.c.id,
)

deliveries = Table(
    "condor_deliveries",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("event_id", String(255), ForeignKey("condor_events.id"), nullable=False),
    Column("job", Text, nullable=False),
    Column("run", String(16), nullable=False),
    Column("queue", String(64), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("due_at", Double, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("losses", Integer, nullable=False),
    Column("worker", String(64)),
    Column("lease_until", Double),
    Column("started_at", Double),
    Column("finished_at", Double),
    Column("error", Text),
    Column("result", Text),
    Column("bus", String(64), nullable=False),
    sqlite_autoincrement=True,
)
"""``id`` is never given twice, as a job may tell by it whether it has done its work; ``job`` is "module:qualname";
``attempt`` counts starts, at the claim; ``losses`` counts the starts, with no other delivery in hand, after which the
worker was lost; ``worker`` names the claim, and only its holder may finish."""

PENDING = deliveries.c.state == literal_column("'pending'")
"""Literal, as both databases use a partial index only when the statement holds the very words of its condition."""
RUNNING = deliveries.c.state == literal_column("'running'")
DEAD = deliveries.c.state == literal_column("'dead'")

Index("condor_deliveries_of", deliveries.c.event_id)
Index(
    "condor_due",
    deliveries.c.bus,
    deliveries.c.queue,
    deliveries.c.priority,
    deliveries.c.due_at,
    deliveries.c.id,
    sqlite_where=PENDING,
    postgresql_where=PENDING,
)
Index("condor_dead", deliveries.c.bus, deliveries.c.id, sqlite_where=DEAD, postgresql_where=DEAD)
Index("condor_leases", deliveries.c.bus, deliveries.c.lease_until, sqlite_where=RUNNING, postgresql_where=RUNNING)
Index(
    "condor_finished",
    deliveries.c.bus,
    deliveries.c.finished_at,
    sqlite_where=deliveries.c.finished_at.is_not(None),
    postgresql_where=deliveries.c.finished_at.is_not(None),
)

rates = Table(
    "condor_rates",
    metadata,
    Column("bus", String(64), primary_key=True),
    Column("width", Integer, primary_key=True),
    Column("start", Integer, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("job", Text, primary_key=True),
    Column("outcome", String(16), primary_key=True),
    Column("bucket", Integer, primary_key=True, autoincrement=False),
    Column("runs", BigInteger, nullable=False),
    Column("seconds", Double, nullable=False),
)
"""How many runs of a job ended how, per minute and per hour: ``width`` and ``start`` in seconds; ``outcome`` is done,
failed (to be tried again), dead or lost; ``bucket`` is the class of their durations, from which percentiles are read;
``seconds`` is the sum of their durations."""

workers = Table(
    "condor_workers",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("threads", Integer, nullable=False),
    Column("queues", Text, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("seen_at", Double, nullable=False),
    Column("bus", String(64), nullable=False),
)
"""The worker processes that have been seen alive; ``queues`` is a JSON list."""

audit = Table(
    "condor_audit",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("at", Double, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", String(16), nullable=False),
    Column("event_id", String(255)),
    Column("delivery_id", Serial),
    Column("detail", Text, nullable=False),
    Column("bus", String(64), nullable=False),
    Index("condor_audited", "bus", "at"),
)
"""Who retried, replayed or cancelled what, and when."""
