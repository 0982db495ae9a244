"""What recording costs: requests per second of a view that fires 3 jobs, with CONDOR_LOG "all" against "off".

    apt-get install wrk
    python benchmarks/overhead.py [--rounds 10] [--seconds 4] [--json FILE]

Two gunicorn servers of one worker each are loaded in turn, the order swapped each round. The worker's processor time
per request, of all its threads, is less sensitive to what else the machine does than the requests per second are.
"""

from __future__ import annotations

import os
import sqlite3
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from frame import keep
from frame import parser_of
from views import load
from views import served

ADDRESSES = {"all": "127.0.0.1:8478", "off": "127.0.0.1:8479"}
SETTLING = 1.0
"""Seconds between two loads, so that the background work of one is not counted to the next."""


def measure(rounds: int, seconds: int, servers: dict[str, int]) -> tuple[list[dict[str, float]], dict[str, float]]:
    """Return the requests per second of each round, and the microseconds of processor time per request."""
    taken, used, served_requests = [], dict.fromkeys(ADDRESSES, 0.0), dict.fromkeys(ADDRESSES, 0.0)
    for number in range(rounds + 1):
        words = ("all", "off") if number % 2 else ("off", "all")
        rates = {}
        for word in words:
            before = processor_time(servers[word])
            rates[word] = load("/fires", seconds if number else 1, ADDRESSES[word])
            time.sleep(SETTLING)
            if number:
                used[word] += processor_time(servers[word]) - before
                served_requests[word] += rates[word] * seconds
        taken.append(rates)
    return taken[1:], {word: round(used[word] / served_requests[word] * 1e6, 1) for word in ADDRESSES}


def processor_time(server: int) -> float:
    """Return the seconds of processor time that the one worker of a gunicorn has used."""
    [worker] = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    fields = Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def count_rows(database: Path) -> dict[str, int]:
    with sqlite3.connect(database) as connection:
        counts = {
            what: int(connection.execute(f"SELECT {what}").fetchone()[0] or 0)
            for what in (
                "count(*) FROM condor_events",
                "count(*) FROM condor_deliveries",
                "sum(runs) FROM condor_rates WHERE width = 60",
            )
        }
    return dict(zip(("events", "deliveries", "runs in the rates"), counts.values(), strict=True))


def main() -> None:
    options = parser_of(__doc__, rounds=10, seconds=4).parse_args()
    with TemporaryDirectory() as folder:
        database = Path(folder, "condor.db")
        url = f"sqlite:///{database}"
        with (
            served(ADDRESSES["all"], FLASK_CONDOR_DATABASE_URL=url, FLASK_CONDOR_LOG="all") as recording,
            served(ADDRESSES["off"], FLASK_CONDOR_DATABASE_URL=url, FLASK_CONDOR_LOG="off") as idle,
        ):
            taken, used = measure(options.rounds, options.seconds, {"all": recording, "off": idle})
        rows = count_rows(database)
    ratios = [rates["all"] / rates["off"] for rates in taken]
    figures = {
        "requests per second": {
            word: round(statistics.median(rates[word] for rates in taken)) for word in ("all", "off")
        },
        "ratio": {"min": min(ratios), "median": statistics.median(ratios), "max": max(ratios)},
        "processor time per request, microseconds": used,
        "rows": rows,
    }
    keep(figures, options, ("flask", "gunicorn", "sqlalchemy"))


if __name__ == "__main__":
    main()
