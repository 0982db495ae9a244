"""Whether memory stays flat: of a worker over many deliveries, and of a web server over many recorded events.

    apt-get install wrk
    python benchmarks/memory.py [--deliveries 100000] [--events 100000] [--json FILE]

The resident memory (RSS) of the one worker process is read after each tenth; the first two are warm-up.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from databases import new_database
from frame import keep
from frame import parser_of
from throughput import WORKER
from throughput import count
from throughput import fill_condor
from throughput import running
from throughput import wait_for
from views import load
from views import served

ADDRESS = "127.0.0.1:8480"
DONE = "SELECT count(*) FROM condor_deliveries WHERE state = 'done'"
EVENTS = "SELECT count(*) FROM condor_events"


def resident(parent: int) -> float:
    """Return the resident memory of the only child of *parent*, in MiB."""
    [child] = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    pages = int(Path(f"/proc/{child}/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


def of_worker(deliveries: int) -> list[float]:
    taken = []
    with new_database("sqlite") as database:
        fill_condor(database, 1)
        with running(WORKER, database) as worker:
            for tenth in range(1, 11):
                fill_condor(database, deliveries // 10)
                wait_for(lambda goal=tenth: count(database, DONE) >= goal * deliveries // 10, 1.0)  # type: ignore[misc]  # a default binds it here
                taken.append(resident(worker))
    return taken


def of_web_server(events: int) -> list[float]:
    taken: list[float] = []
    with new_database("sqlite") as database:
        with served(ADDRESS, FLASK_CONDOR_DATABASE_URL=database, FLASK_CONDOR_LOG="all") as server:
            while len(taken) < 10:
                load("/fires", 1, ADDRESS)
                time.sleep(0.5)
                if count(database, EVENTS) >= (len(taken) + 1) * events // 10:
                    taken.append(resident(server))
    return taken


def growth(taken: list[float]) -> float:
    return round(taken[-1] - taken[1], 1)


def main() -> None:
    options = parser_of(__doc__, deliveries=100_000, events=100_000).parse_args()
    worker, server = of_worker(options.deliveries), of_web_server(options.events)
    figures = {
        "MiB after each tenth": {"worker": worker, "web server": server},
        "growth after warm-up, MiB": {"worker": growth(worker), "web server": growth(server)},
    }
    keep(figures, options, ("flask", "gunicorn", "sqlalchemy"))


if __name__ == "__main__":
    main()
