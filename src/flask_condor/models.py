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
from sqlalchemy import ColumnElement
from sqlalchemy import Double
from sqlalchemy import ForeignKey
from sqlalchemy import Index
from sqlalchemy import Integer
from sqlalchemy import MetaData
from sqlalchemy import String
from sqlalchemy import Table
from sqlalchemy import Text
from sqlalchemy import and_
from sqlalchemy import false
from sqlalchemy import literal_column

VERSION = 1
"""The version of the tables as they stand here."""

State = t.Literal["pending", "running", "done", "dead", "cancelled"]


def partial_index(name: str, where: ColumnElement[bool], *columns: Column[t.Any]) -> Index:
    """Return an index of the rows *where* something is true, and of no others."""
    return Index(name, *columns, sqlite_where=where, postgresql_where=where)


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
    Column("is_redacted", Boolean, nullable=False, server_default=false()),
    Column("subject", Text),
    Column("bus", String(64), nullable=False),
    Column("digest", String(64)),
    Column("form", String(32)),
    Column("sender", Text),
    Column("address", Text),
    Column("key", Text),
    Column("headers", Text),
    Column("repeats", Integer),
    Index("condor_fired", "bus", "fired_at"),
)
"""``payload`` is JSON, or a JSON text holding its ``repr`` when ``is_replayable`` is false; ``path`` is the JSON list
of the names of the events that led here, from the root down; ``root_id`` is the id of the root event, its own for a
root; the three ``cause_`` columns name the run that fired it; ``trace`` is the W3C traceparent of the fire, if any;
``is_redacted`` tells that its secrets are no longer in ``payload``, which then cannot be run again; ``subject`` is that
of the CloudEvent that came in.

The columns after ``bus`` are the receipt of an event that came over HTTP, and null for others: ``digest`` is the
SHA-256 of what was sent, by which a repetition is told from another event of the same id; ``form`` is simple,
cloudevents-structured, -binary or -batch; ``key`` the id as it was sent; ``headers`` JSON, redacted; ``repeats`` how
often it was sent again."""

RECEIVED = events.c.digest.is_not(None)
"""What came over HTTP."""

partial_index("condor_received", RECEIVED, events.c.bus, events.c.fired_at, events.c.id)
partial_index("condor_descendants", events.c.root_id != events.c.id, events.c.root_id)

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
    Column("failure_id", Serial),
    Column("bus", String(64), nullable=False),
    sqlite_autoincrement=True,
)
"""``id`` is never given twice, as a job may tell by it whether it has done its work; ``job`` is "module:qualname";
``attempt`` counts starts, at the claim; ``losses`` counts the starts, with no other delivery in hand, after which the
worker was lost; ``worker`` names the claim, and only its holder may finish; ``failure_id`` is that of its last
error."""

PENDING = deliveries.c.state == literal_column("'pending'")
"""Literal, as both databases use a partial index only when the statement holds the very words of its condition."""
TRIED = and_(PENDING, deliveries.c.attempt > literal_column("0"))
RUNNING = deliveries.c.state == literal_column("'running'")
DEAD = deliveries.c.state == literal_column("'dead'")

Index("condor_deliveries_of", deliveries.c.event_id)
partial_index(
    "condor_due",
    PENDING,
    deliveries.c.bus,
    deliveries.c.queue,
    deliveries.c.priority,
    deliveries.c.due_at,
    deliveries.c.id,
)
partial_index("condor_tried", TRIED, deliveries.c.bus, deliveries.c.id)
partial_index("condor_dead", DEAD, deliveries.c.bus, deliveries.c.id, deliveries.c.run)
partial_index("condor_dead_of", DEAD, deliveries.c.bus, deliveries.c.failure_id, deliveries.c.id, deliveries.c.run)
partial_index("condor_leases", RUNNING, deliveries.c.bus, deliveries.c.lease_until)
partial_index("condor_finished", deliveries.c.finished_at.is_not(None), deliveries.c.bus, deliveries.c.finished_at)

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
    Column("version", String(64)),
    Column("started_at", Double, nullable=False),
    Column("seen_at", Double, nullable=False),
    Column("bus", String(64), nullable=False),
)
"""The worker processes that have been seen alive; ``queues`` is a JSON list; ``version`` that of Flask-Condor."""

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
    Index("condor_audited_of", "event_id", "at"),
)
"""Who did what to stored events, and when."""

attempts = Table(
    "condor_attempts",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("delivery_id", Serial, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("worker", String(64)),
    Column("started_at", Double),
    Column("ended_at", Double, nullable=False),
    Column("error", Text),
    Column("failure_id", Serial, nullable=False),
    Index("condor_attempts_by", "delivery_id", "id"),
    Index("condor_attempts_of", "failure_id", "ended_at", "id", "delivery_id"),
)
"""The attempts that did not succeed; the last one of a delivery is in its own row too. ``outcome`` is failed (to be
tried again), dead or lost. ``attempt`` begins anew when a delivery is retried, so it is no key."""

run_lines = Table(
    "condor_run_lines",
    metadata,
    Column("delivery_id", Serial, primary_key=True, autoincrement=False),
    Column("ended_at", Double, primary_key=True),
    Column("lines", Text, nullable=False),
)
"""What a run wrote to Python's log, if anything: ``ended_at`` is that of its attempt, or of its delivery."""

failures = Table(
    "condor_failures",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("bus", String(64), nullable=False),
    Column("job", Text, nullable=False),
    Column("error_type", Text, nullable=False),
    Column("frame", Text, nullable=False),
    Column("key", String(64), nullable=False),
    Column("first_seen", Double, nullable=False),
    Column("last_seen", Double, nullable=False),
    Column("runs", BigInteger, nullable=False),
    Column("muted_at", Double),
    Column("note", Text, nullable=False),
    Index("condor_failures_key", "bus", "key", unique=True),
    Index("condor_failures_seen", "bus", "last_seen"),
)
"""Failures that are alike, in one row: of one job, with one class of exception, raised below one frame of the app's
own code ("module:function"); ``key`` is the SHA-256 of these three."""

failure_counts = Table(
    "condor_failure_counts",
    metadata,
    Column("failure_id", Serial, primary_key=True, autoincrement=False),
    Column("start", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, primary_key=True),
    Column("runs", BigInteger, nullable=False),
    Index("condor_failed_in", "start"),
)
"""How many runs failed in that way in the hour that began at ``start``, at events of that ``name``."""

pauses = Table(
    "condor_pauses",
    metadata,
    Column("bus", String(64), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("at", Double, nullable=False),
    Column("actor", Text, nullable=False),
)
"""The queues, and the events (``kind``: queue or event), whose deliveries no worker claims until they are resumed."""

bulk_operations = Table(
    "condor_operations",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("bus", String(64), nullable=False),
    Column("title", Text, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("actor", Text, nullable=False),
    Column("chosen", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("done", BigInteger, nullable=False),
    Column("left_out", BigInteger, nullable=False),
    Column("place", Text, nullable=False),
    Column("error", Text),
    Column("created_at", Double, nullable=False),
    Column("started_at", Double),
    Column("finished_at", Double),
    Column("worker", String(64)),
    Column("lease_until", Double),
    Column("form", String(36)),
    Index("condor_operated", "bus", "id"),
    Index("condor_operated_form", "bus", "form", unique=True),
    sqlite_autoincrement=True,
)
"""Retries, replays, purges and cancels of many, which a worker carries out batch by batch: ``chosen`` is the fixed
filter, as JSON, ``place`` where the next batch begins; ``state`` is pending, running, done, aborted or failed;
``left_out`` counts what could not be done, and ``error`` tells why of the first of them. ``form`` is the form that it
was begun by: however often that is sent, it begins one."""

partial_index("condor_operating", bulk_operations.c.finished_at.is_(None), bulk_operations.c.bus, bulk_operations.c.id)
