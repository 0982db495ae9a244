"""The statements that accept an event, made once: building them anew took as long as running them."""

from __future__ import annotations

import typing as t
from functools import cache

from sqlalchemy import TextClause
from sqlalchemy import bindparam
from sqlalchemy import cast
from sqlalchemy import func
from sqlalchemy import insert
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.types import Double

from .models import deliveries
from .models import events

CLOCK = cast(func.extract("epoch", func.clock_timestamp()), Double)
"""PostgreSQL's own time, in seconds since 1970 UTC."""
NOTIFY = text("SELECT pg_notify('condor', '')")
"""Wakes the workers when the transaction commits."""

DELIVERY = ("event_id", "job", "run", "queue", "priority", "state", "attempt", "losses", "bus", "due_at")
ADD_DELIVERY = f"INSERT INTO condor_deliveries ({', '.join(DELIVERY)}) VALUES ({', '.join('?' * len(DELIVERY))})"
"""For SQLite, with the values in the order of the columns: as a statement of SQLAlchemy's it takes twice as long."""
TAKE_BACK = ("DELETE FROM condor_deliveries WHERE event_id = ?", "DELETE FROM condor_events WHERE id = ?")
ADD_DELIVERIES = insert(deliveries)
ADD_DELIVERIES_DUE_IN = insert(deliveries).values(due_at=CLOCK + bindparam("wait", type_=Double))

ACCEPT_EVENT = f"""
    INSERT INTO condor_events ({", ".join(events.columns.keys())})
    VALUES (:{", :".join(events.columns.keys())})
    ON CONFLICT DO NOTHING
    RETURNING id, bus
    """


def add_event(row: dict[str, t.Any]) -> tuple[str, list[t.Any]]:
    """Return what writes *row* to SQLite's ``condor_events``: a statement, and its values.

    None is left out, and a bool is a number: for each of the two sqlite3 looks for an adapter, which takes 0.2 µs.
    """
    given = {column: value for column, value in row.items() if value is not None}
    return adding(tuple(given)), [+value if value.__class__ is bool else value for value in given.values()]


@cache
def adding(columns: tuple[str, ...]) -> str:
    places = ", ".join("?" * len(columns))
    return f"INSERT INTO condor_events ({', '.join(columns)}) VALUES ({places}) ON CONFLICT DO NOTHING"


@cache
def accept(jobs: int) -> TextClause:
    """Return what writes an event with so many deliveries to PostgreSQL, to which every statement is a journey.

    It gives a row when the event is new, and none otherwise. Each job has parameters of its own: as arrays they made
    it take half as long again.
    """
    if not jobs:
        return text(ACCEPT_EVENT)
    given = (f"({job}, :job{job}, :queue{job}, CAST(:priority{job} AS integer))" for job in range(jobs))
    return text(
        f"""
        WITH event AS ({ACCEPT_EVENT})
        INSERT INTO condor_deliveries (event_id, job, run, queue, priority, state, attempt, losses, bus, due_at)
        SELECT id, job, 'queued', queue, priority, 'pending', 0, 0, bus,
            coalesce(CAST(:at AS double precision), extract(epoch FROM clock_timestamp()) + :wait)
        FROM event, (VALUES {", ".join(given)}) AS given (position, job, queue, priority)
        ORDER BY position
        RETURNING pg_notify('condor', '')
        """
    )


@cache
def accept_by_psycopg(jobs: int) -> str:
    """Return the same with psycopg's own parameters."""
    return str(accept(jobs).compile(dialect=psycopg.dialect()))  # type: ignore[no-untyped-call]  # SQLAlchemy's
