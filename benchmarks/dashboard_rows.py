"""Events for dashboard.py, written by SQL: as many as are asked for in a time, with what became of them."""

from __future__ import annotations

import json
import time

from flask_condor.bus import BUS
from flask_condor.database import check_url
from flask_condor.database import open_database
from flask_condor.schema import ensure_schema
from sqlalchemy import text
from sqlalchemy.engine import Engine

WEEK = 7 * 86_400
LARGE = 20
"""How many of the newest events have a payload of 1 MiB."""
NAMES, JOBS, FAILURES = 50, 20, 200
SERIES = {
    "sqlite": "WITH RECURSIVE series (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < :rows)",
    "postgresql": "WITH series AS (SELECT generate_series(1, :rows) AS n)",
}
AT = "(:now - :seconds * (:rows - n) / :rows)"
EVENTS = f"""INSERT INTO condor_events
    (id, name, payload, is_replayable, is_redacted, is_orphan, source, fired_at, root_id, path, cause_id, cause_name,
    cause_job, bus)
    {{series}} SELECT 'e' || n, 'thing.happened' || (n % {NAMES}),
    '{{{{"user": {{{{"id": ' || (n % 1000) || ', "password": "x"}}}}, "items": [1, 2, 3]}}}}', true, false, n % 97 = 0,
    CASE n % 3 WHEN 0 THEN 'job' ELSE 'handler' END, {AT},
    CASE WHEN n % 3 = 0 THEN 'e' || (n - 1) ELSE 'e' || n END, CASE WHEN n % 3 = 0 THEN '["x"]' ELSE '[]' END,
    CASE WHEN n % 3 = 0 THEN 'e' || (n - 1) END, CASE WHEN n % 3 = 0 THEN 'thing.happened' || ((n - 1) % {NAMES}) END,
    CASE WHEN n % 3 = 0 THEN 'jobs:job0' END, 'default' FROM series"""
STATE = "CASE WHEN n % 50 = 0 THEN 'dead' WHEN n % 1000 = 1 THEN 'pending' ELSE 'done' END"
DELIVERIES = f"""INSERT INTO condor_deliveries
    (event_id, job, run, queue, priority, state, due_at, attempt, losses, started_at, finished_at, error, failure_id,
    bus) {{series}} SELECT 'e' || n, 'jobs:job' || ((n + {{number}}) % {JOBS}), 'queued', 'default', 0, {STATE}, {AT},
    CASE WHEN n % 1000 = 1 THEN 0 ELSE 1 END, 0, CASE WHEN n % 1000 = 1 THEN NULL ELSE {AT} END,
    CASE WHEN n % 1000 = 1 THEN NULL ELSE {AT} + 0.001 * (n % 200) END,
    CASE WHEN n % 50 = 0 THEN 'ValueError: it is wrong' END, CASE WHEN n % 50 = 0 THEN n / 50 % {FAILURES} + 1 END,
    'default' FROM series WHERE n % 97 <> 0"""
ATTEMPTS = """INSERT INTO condor_attempts
    (delivery_id, attempt, outcome, worker, started_at, ended_at, error, failure_id)
    SELECT id, 1, 'dead', 'host:1', started_at, finished_at, error, failure_id FROM condor_deliveries
    WHERE state = 'dead'"""
GROUPS = """INSERT INTO condor_failures
    (bus, job, error_type, frame, key, first_seen, last_seen, runs, note)
    SELECT 'default', min(job), 'ValueError', 'jobs:job' || failure_id, 'key' || failure_id, min(started_at),
    max(finished_at), count(*), '' FROM condor_deliveries WHERE state = 'dead' GROUP BY failure_id
    ORDER BY failure_id"""
COUNTS = """INSERT INTO condor_failure_counts (failure_id, start, name, runs)
    SELECT d.failure_id, CAST(d.finished_at AS INTEGER) / 3600 * 3600, e.name, count(*) FROM condor_deliveries d
    JOIN condor_events e ON e.id = d.event_id WHERE d.state = 'dead' GROUP BY 1, 2, 3"""
RATES = """INSERT INTO condor_rates (bus, width, start, name, job, outcome, bucket, runs, seconds)
    SELECT 'default', {width}, CAST(d.finished_at AS INTEGER) / {width} * {width}, e.name, d.job, d.state,
    60 + d.id % 8, count(*), sum(d.finished_at - d.started_at) FROM condor_deliveries d
    JOIN condor_events e ON e.id = d.event_id WHERE d.finished_at > :since GROUP BY 3, 4, 5, 6, 7"""
GAUGES = """INSERT INTO condor_gauges (bus, width, start, pending, waited, workers)
    SELECT bus, width, start, sum(runs), 1.5, 2 FROM condor_rates GROUP BY bus, width, start"""
WAITS = """INSERT INTO condor_waits (bus, width, start, queue, bucket, runs)
    SELECT bus, width, start, 'default', bucket, sum(runs) FROM condor_rates GROUP BY bus, width, start, bucket"""


def filled(url: str, rows: int, seconds: float = WEEK) -> Engine:
    """Return the engine of a log with so many events of the last *seconds*, and two deliveries of most of them."""
    engine = open_database(check_url(url, "the benchmark")).execution_options(**{BUS: "default"})
    now = time.time()
    with engine.begin() as connection:
        ensure_schema(connection)
        series, values = SERIES[engine.dialect.name], {"rows": rows, "now": now, "seconds": float(seconds)}
        connection.execute(text(EVENTS.format(series=series)), values)
        newest = [{"id": f"e{rows - number}", "payload": json.dumps({"text": "x" * 2**20})} for number in range(LARGE)]
        connection.execute(text("UPDATE condor_events SET payload = :payload WHERE id = :id"), newest)
        for number in (0, 7):
            connection.execute(text(DELIVERIES.format(series=series, number=number)), values)
        for statement in (GROUPS, ATTEMPTS, COUNTS):
            connection.execute(text(statement))
        connection.execute(text(RATES.format(width=3600)), {"since": 0})
        connection.execute(text(RATES.format(width=60)), {"since": now - 2 * 86_400})
        for statement in (GAUGES, WAITS):
            connection.execute(text(statement))
    analyze = "VACUUM ANALYZE" if engine.dialect.name == "postgresql" else "ANALYZE"  # as its autovacuum would by then
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(analyze))
    return engine
