"""What one claim of 100 deliveries costs beside 10^3 to 10^6 pending rows, and beside 10^4 to 10^7 finished ones.

    python benchmarks/claims.py [--pending 1000 10000 100000 1000000] [--finished 10000 100000 1000000 10000000]
        [--claims 200] [--kinds sqlite postgresql] [--json FILE]

The tables are filled by SQL and analysed; each claim is a transaction of its own that is rolled back. Each size is
measured in turn with the smallest, and the ratio is that of the two medians; the query plans are kept with the result.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

from databases import new_database
from flask_condor.claims import Wish
from flask_condor.claims import claim
from flask_condor.database import check_url
from flask_condor.database import open_database
from flask_condor.lanes import Lanes
from flask_condor.schema import ensure_schema
from frame import keep
from frame import parser_of
from sqlalchemy import event
from sqlalchemy import text
from sqlalchemy.engine import Engine

JOB = "jobs:note"
NAME = "thing.happened"
SERIES = {
    "sqlite": "WITH RECURSIVE series (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < :rows)",
    "postgresql": "WITH series AS (SELECT generate_series(1, :rows) AS n)",
}
EXPLAIN = {"sqlite": "EXPLAIN QUERY PLAN ", "postgresql": "EXPLAIN "}
EVENTS = """INSERT INTO condor_events
    (id, name, payload, is_replayable, is_orphan, source, fired_at, root_id, path, bus)
    {series} SELECT :state || n, :name, '{{}}', true, false, 'app', n, :state || n, '[]', 'default' FROM series"""
DELIVERIES = """INSERT INTO condor_deliveries
    (event_id, job, run, queue, priority, state, due_at, attempt, losses, finished_at, bus)
    {series} SELECT :state || n, :job, 'queued', 'default', 0, :state, n, 0, 0,
    CASE WHEN :state = 'pending' THEN NULL ELSE n END, 'default' FROM series"""


def filled(url: str, pending: int, finished: int) -> Engine:
    engine = open_database(check_url(url, "the benchmark"))
    with engine.begin() as connection:
        ensure_schema(connection)
        series = SERIES[engine.dialect.name]
        for state, rows in (("done", finished), ("pending", pending)):
            values = {"rows": rows, "state": state, "name": NAME, "job": JOB}
            connection.execute(text(EVENTS.format(series=series)), values)
            connection.execute(text(DELIVERIES.format(series=series)), values)
    with engine.begin() as connection:
        connection.execute(text("ANALYZE"))
    return engine


def time_claim(engine: Engine) -> float:
    with engine.connect() as connection:
        connection.begin()
        start = time.perf_counter()
        caught = claim(
            connection,
            Wish(worker="benchmark", count=100, lanes=Lanes([("default", 0)]), pairs=[(NAME, JOB)], is_idle=True),
        )
        took = time.perf_counter() - start
        connection.rollback()
    assert len(caught.claims) == 100
    return took


def plan_of(engine: Engine) -> list[str]:
    """Return how the database looks for what is due: its plan for the first statement of a claim."""
    seen: list[tuple[str, Any]] = []
    event.listen(engine, "before_cursor_execute", lambda *said: seen.append((said[2], said[3])))
    time_claim(engine)
    statement, parameters = next(one for one in seen if "LIMIT" in one[0])
    with engine.connect() as connection:
        plan = connection.exec_driver_sql(EXPLAIN[engine.dialect.name] + statement, parameters)
        return [str(row[-1]) for row in plan]


def compare(kind: str, sizes: list[tuple[int, int]], claims: int) -> dict[str, object]:
    """Measure each (pending, finished) of *sizes* in turn with the first."""
    result: dict[str, object] = {}
    with new_database(kind) as url:
        first = filled(url, *sizes[0])
        for pending, finished in sizes:
            with new_database(kind) as other_url:
                other = filled(other_url, pending, finished)
                taken = [(time_claim(first), time_claim(other)) for _ in range(claims)]
                base, here = (statistics.median(times) for times in zip(*taken, strict=True))
                plan = plan_of(other)
                other.dispose()
            result[f"{pending:,} pending, {finished:,} finished"] = {
                "ms": round(here * 1000, 2),
                "ratio": round(here / base, 2),
                "plan": plan,
            }
            print(kind, pending, finished, result[f"{pending:,} pending, {finished:,} finished"], flush=True)
        first.dispose()
    return result


def main() -> None:
    parser = parser_of(__doc__, claims=200)
    parser.add_argument("--pending", type=int, nargs="+", default=[10**3, 10**4, 10**5, 10**6])
    parser.add_argument("--finished", type=int, nargs="+", default=[10**4, 10**5, 10**6, 10**7])
    parser.add_argument("--kinds", nargs="+", default=["sqlite", "postgresql"])
    options = parser.parse_args()
    by_pending = [(pending, options.finished[0]) for pending in options.pending]
    by_finished = [(options.pending[0], finished) for finished in options.finished]
    figures = {
        "by pending": {kind: compare(kind, by_pending, options.claims) for kind in options.kinds},
        "by finished": {kind: compare(kind, by_finished, options.claims) for kind in options.kinds},
    }
    keep(figures, options, ("sqlalchemy", "psycopg"), shown=False)


if __name__ == "__main__":
    main()
