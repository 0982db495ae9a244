"""The tables of the trends: how the queue stood, and how long what is in it waited, per minute and per hour."""

from __future__ import annotations

from sqlalchemy import BigInteger
from sqlalchemy import Column
from sqlalchemy import Double
from sqlalchemy import Integer
from sqlalchemy import String
from sqlalchemy import Table

from .models import metadata

gauges = Table(
    "condor_gauges",
    metadata,
    Column("bus", String(64), primary_key=True),
    Column("width", Integer, primary_key=True),
    Column("start", Integer, primary_key=True),
    Column("pending", Integer, nullable=False),
    Column("waited", Double, nullable=False),
    Column("workers", Integer, nullable=False),
)
"""How the queue stood, once in a minute in which a worker ran: ``width`` and ``start`` in seconds, as in the rates; the
row of an hour holds the highest of its minutes. ``pending`` is how many waited, up to a bound; ``waited`` for how many
seconds the one had been due that waited longest; ``workers`` how many had been seen lately."""

waits = Table(
    "condor_waits",
    metadata,
    Column("bus", String(64), primary_key=True),
    Column("width", Integer, primary_key=True),
    Column("start", Integer, primary_key=True),
    Column("queue", String(64), primary_key=True),
    Column("bucket", Integer, primary_key=True, autoincrement=False),
    Column("runs", BigInteger, nullable=False),
)
"""How many queued jobs began in a minute or an hour, by their queue and by how long they had been due: ``bucket`` is
the class of that time, one of those of the rates."""
