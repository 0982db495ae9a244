"""Rows of the event log by the hundred thousand, written by SQL."""

from __future__ import annotations

from tests.reliability.stand import Stand

SERIES = {
    "sqlite": "WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < :rows - 1) SELECT n FROM n",
    "postgresql": "SELECT n FROM generate_series(0, :rows - 1) AS n",
}
EVENTS = """
INSERT INTO condor_events (id, name, payload, is_replayable, is_orphan, source, fired_at, root_id, path, bus)
SELECT :prefix || n, 'ok', '{{}}', true, false, 'handler', 1000, :prefix || n, '[]', 'default'
FROM ({series}) AS numbers
"""
DELIVERIES = """
INSERT INTO condor_deliveries (event_id, job, run, queue, priority, state, due_at, attempt, losses, finished_at, bus)
SELECT :prefix || n, 'tests.reliability.shop:ok', 'queued', 'default', 0, {state}, 1000, {attempt}, 0, {finished},
    'default'
FROM ({series}) AS numbers
"""
OLD = {"state": "CASE WHEN n % 100 = 0 THEN 'dead' ELSE 'done' END", "attempt": "1", "finished": "1000"}
"""Deliveries that ended in 1970, one of 100 dead."""
PENDING = {"state": "'pending'", "attempt": "0", "finished": "NULL"}


def fill(stand: Stand, rows: int, prefix: str, how: dict[str, str]) -> None:
    """Write so many events, with a delivery each; the ids are *prefix* and a number."""
    stand.fire("ok", f"{prefix}first")
    for statement in (EVENTS, DELIVERIES):
        query = statement.format(series=SERIES[stand.kind], **how)
        stand.tables.execute(query, rows=rows, prefix=prefix)
    if how is PENDING:
        for number in range(rows):
            stand.accepted(f"{prefix}{number}")
