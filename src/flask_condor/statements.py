"""The statements that accept an event, made once: building them anew took as long as running them."""

from __future__ import annotations

from sqlalchemy import bindparam
from sqlalchemy import cast
from sqlalchemy import func
from sqlalchemy import insert
from sqlalchemy import text
from sqlalchemy.types import Double

from .models import deliveries
from .models import events

CLOCK = cast(func.extract("epoch", func.clock_timestamp()), Double)
"""PostgreSQL's own time, in seconds since 1970 UTC."""
NOTIFY = text("SELECT pg_notify('condor', '')")
"""Wakes the workers when the transaction commits."""

ADD_EVENT = f"""
    INSERT INTO condor_events ({", ".join(events.columns.keys())})
    VALUES ({", ".join("?" * len(events.columns))}) ON CONFLICT DO NOTHING
    """
"""For SQLite, with the values in the order of the columns: as a statement of SQLAlchemy's it takes twice as long."""
DELIVERY = ("event_id", "job", "run", "queue", "priority", "state", "attempt", "losses", "bus", "due_at")
ADD_DELIVERY = f"INSERT INTO condor_deliveries ({', '.join(DELIVERY)}) VALUES ({', '.join('?' * len(DELIVERY))})"
"""Likewise."""
ADD_DELIVERIES = insert(deliveries)
ADD_DELIVERIES_DUE_IN = insert(deliveries).values(due_at=CLOCK + bindparam("wait", type_=Double))

ACCEPT = text(
    f"""
    WITH event AS (
        INSERT INTO condor_events ({", ".join(events.columns.keys())})
        VALUES (:{", :".join(events.columns.keys())})
        ON CONFLICT DO NOTHING
        RETURNING id, bus
    ), delivery AS (
        INSERT INTO condor_deliveries (event_id, job, run, queue, priority, state, attempt, losses, bus, due_at)
        SELECT id, job, 'queued', queue, priority, 'pending', 0, 0, bus,
            coalesce(CAST(:at AS double precision), extract(epoch FROM clock_timestamp()) + :wait)
        FROM event, unnest(CAST(:jobs AS text[]), CAST(:queues AS text[]), CAST(:priorities AS integer[]))
            WITH ORDINALITY AS given (job, queue, priority, position)
        ORDER BY position
        RETURNING id
    )
    SELECT count(*), (SELECT pg_notify('condor', '') FROM delivery LIMIT 1) FROM event
    """
)
"""All in one for PostgreSQL, to which every statement is a journey; gives the number of events written, 0 or 1."""
