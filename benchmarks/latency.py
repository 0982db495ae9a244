"""How long an idle worker takes from the commit of an event to the start of its job, and what it costs while idle.

    python benchmarks/latency.py [--fires 300] [--idle 30] [--json FILE]

A worker with 4 threads waits; this process fires one event at a time, 50 to 150 ms apart, and notes when each fire
has returned; the job notes when it begins. PostgreSQL on 127.0.0.1, or CONDOR_TEST_POSTGRESQL.
"""

from __future__ import annotations

import os
import random
import statistics
import time
from pathlib import Path
from tempfile import NamedTemporaryFile

from databases import new_database
from frame import keep
from frame import parser_of
from queue_app import NAME
from queue_app import create_app
from throughput import WORKER
from throughput import running
from throughput import wait_for


def latencies(fires: int, witness: Path) -> list[float]:
    """Fire events one by one, and return the seconds from each commit to the start of its job."""
    app = create_app()
    committed = []
    with app.app_context():
        for number in range(fires):
            app.extensions["condor"].emit(NAME, {"number": number})
            committed.append(time.time())
            time.sleep(random.uniform(0.05, 0.15))
    wait_for(lambda: len(witness.read_text().splitlines()) == fires)
    starts = (line.split() for line in witness.read_text().splitlines())
    return [float(began) - committed[int(number)] for number, began in starts]


def processor_seconds(parent: int) -> float:
    """Return the processor time that *parent* and its children have used."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    ticks = 0
    for process in (str(parent), *children):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def measure(kind: str, fires: int, idle: float) -> dict[str, float]:
    with new_database(kind) as database, NamedTemporaryFile() as witness:
        os.environ |= {"DATABASE": database, "WITNESS": witness.name}
        with running(WORKER, database) as worker:
            latencies(1, Path(witness.name))
            Path(witness.name).write_text("")
            taken = sorted(latencies(fires, Path(witness.name)))
            used = processor_seconds(worker)
            time.sleep(idle)
            used = processor_seconds(worker) - used
    return {
        "p50 ms": round(statistics.median(taken) * 1000, 2),
        "p95 ms": round(taken[int(len(taken) * 0.95)] * 1000, 2),
        "idle % of a core": round(100 * used / idle, 2),
    }


def main() -> None:
    options = parser_of(__doc__, fires=300, idle=30.0).parse_args()
    figures = {kind: measure(kind, options.fires, options.idle) for kind in ("sqlite", "postgresql")}
    keep(figures, options, ("sqlalchemy", "psycopg"))


if __name__ == "__main__":
    main()
