"""How long `flask events retry --all-dead` takes for 10^5 dead deliveries, and how long a fire waits meanwhile.

    python benchmarks/retries.py [--dead 100000] [--rounds 3] [--kinds sqlite postgresql] [--json FILE]

The deliveries are of one event, each with the traceback of a failure of 1 kB. While they are retried, another process
fires a queued event ten times a second; its waits are those of a web worker that shares the log.
"""

from __future__ import annotations

import multiprocessing
import statistics
import time
from multiprocessing.synchronize import Event as Flag
from typing import Any

from databases import new_database
from flask import Flask
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor.bulk import RETRIES
from flask_condor.cli import events as group
from flask_condor.models import audit
from flask_condor.models import deliveries
from flask_condor.models import events
from frame import keep
from frame import parser_of
from sqlalchemy import func
from sqlalchemy import insert
from sqlalchemy import select

NAME = "thing.happened"
FAILED = {"event_id": "dead", "job": "jobs:note", "run": "queued", "queue": "default", "priority": 0, "state": "dead"}
FAILED |= {"due_at": 1.0, "attempt": 5, "losses": 0, "finished_at": 2.0, "bus": "default", "error": "x" * 1000}


def note(event: Event[Any], ctx: Context) -> None:
    pass


def manager_of(url: str) -> EventsManager:
    app = Flask("retries")
    app.config["CONDOR_DATABASE_URL"] = url
    Condor(app)
    manager: EventsManager = app.extensions["condor"]
    manager.register(NAME, note, run="queued")
    return manager


def fill(manager: EventsManager, dead: int) -> None:
    row = {"id": "dead", "name": NAME, "payload": "null", "is_replayable": True, "is_orphan": False, "source": "app"}
    with manager.log.begin() as connection:
        connection.execute(insert(events), [row | {"fired_at": 1.0, "root_id": "dead", "path": "[]", "bus": "default"}])
    for start in range(0, dead, 1000):
        with manager.log.begin() as connection:
            connection.execute(insert(deliveries), [FAILED] * min(1000, dead - start))


def fire_on(url: str, ended: Flag, waits: Any) -> None:
    manager = manager_of(url)
    while not ended.wait(0.1):
        start = time.perf_counter()
        manager.fire(Event(NAME))
        waits.append(time.perf_counter() - start)


def measure(kind: str, dead: int) -> dict[str, float]:
    spawn = multiprocessing.get_context("spawn")
    with new_database(kind) as url, spawn.Manager() as shared:
        manager = manager_of(url)
        fill(manager, dead)
        ended, waits = spawn.Event(), shared.list()
        firing = spawn.Process(target=fire_on, args=(url, ended, waits))
        firing.start()
        while not waits:
            time.sleep(0.1)
        start = time.perf_counter()
        result = manager.app.test_cli_runner().invoke(group, ["retry", "--all-dead", "--yes"])
        took = time.perf_counter() - start
        ended.set()
        firing.join()
        with manager.log.read() as connection:
            audited = connection.scalar(select(func.count()).select_from(audit))
        assert result.stdout == f"Retried {dead:,} deliveries.\n" and audited == dead, result.output
        manager.log.engine.dispose()
        longest = max(waits[1:], default=0.0)
        return {"seconds": took, "fires": len(waits) - 1, "longest fire, ms": longest * 1000}


def main() -> None:
    parser = parser_of(__doc__, dead=100_000, rounds=3)
    parser.add_argument("--kinds", nargs="+", default=["sqlite", "postgresql"])
    options = parser.parse_args()
    figures: dict[str, object] = {"in one transaction": RETRIES}
    for kind in options.kinds:
        rounds = [measure(kind, options.dead) for _ in range(options.rounds)]
        figures[kind] = {key: round(statistics.median(one[key] for one in rounds), 2) for key in rounds[0]}
    keep(figures, options, ("sqlalchemy", "psycopg"))


if __name__ == "__main__":
    main()
