"""Deliveries per second of one worker with 4 threads and a job that does nothing, beside huey and procrastinate.

    pip install -r benchmarks/requirements.txt        (PostgreSQL on 127.0.0.1, or CONDOR_TEST_POSTGRESQL)
    python benchmarks/throughput.py [--jobs 10000] [--rounds 5] [--json FILE]

Each round fills a new database, then starts the worker's own command and times it from its first start to its last
finish, so loading Python is not counted. huey deletes a job before it runs it; Flask-Condor and procrastinate keep it.
"""

from __future__ import annotations

import asyncio
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from databases import new_database
from frame import keep
from frame import parser_of
from sqlalchemy import create_engine
from sqlalchemy import text

HERE = Path(__file__).parent
THREADS = 4
WORKER = ["flask", "--app", "queue_app", "events", "worker", "--processes", "1", "--threads", str(THREADS)]
HUEY = ["huey_consumer", "huey_app.huey", "-w", str(THREADS), "-d", "0.01", "-q"]
PROCRASTINATE = ["procrastinate", "--app", "procrastinate_app.app", "worker", "--concurrency", str(THREADS)]


@contextmanager
def running(command: list[str], database: str) -> Iterator[int]:
    """Run the installed *command*, and yield its process id."""
    program = Path(sys.executable).with_name(command[0])
    environment = os.environ | {"DATABASE": database, "PYTHONPATH": str(HERE)}
    process = subprocess.Popen(
        [sys.executable, str(program), *command[1:]], cwd=HERE, env=environment, stderr=subprocess.DEVNULL
    )
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(30)


def fill_condor(database: str, jobs: int) -> None:
    """Fire *jobs* events, in one transaction."""
    from queue_app import NAME
    from queue_app import create_app
    from sqlalchemy.orm import Session

    os.environ["DATABASE"] = database
    app = create_app()
    events = app.extensions["condor"]
    with app.app_context(), Session(events.log.engine) as session, session.begin():
        for number in range(jobs):
            events.emit(NAME, {"number": number}, session=session)


def condor(kind: str, jobs: int) -> float:
    with new_database(kind) as database:
        fill_condor(database, jobs)
        engine = create_engine(database)
        with running(WORKER, database):
            wait_for(lambda: count(database, "SELECT count(*) FROM condor_deliveries WHERE state = 'done'") == jobs)
        with engine.connect() as connection:
            took = connection.scalar(text("SELECT max(finished_at) - min(started_at) FROM condor_deliveries"))
        engine.dispose()
        return jobs / float(took)


def huey(kind: str, jobs: int) -> float:
    with new_database(kind) as database:
        path = os.environ["DATABASE"] = re.sub(r"^sqlite:///", "", database)
        code = f"import huey_app\nfor _ in range({jobs}): huey_app.note({{'number': 1}})"
        subprocess.run([sys.executable, "-c", code], cwd=HERE, check=True)
        left = "SELECT count(*) FROM task"
        with running(HUEY, path):
            wait_for(lambda: count(database, left) < jobs, 0.002)
            began, at_start = time.perf_counter(), count(database, left)
            wait_for(lambda: count(database, left) == 0, 0.002)
            return at_start / (time.perf_counter() - began)


def procrastinate(kind: str, jobs: int) -> float:
    with new_database(kind) as database:
        os.environ["DATABASE"] = database
        sys.modules.pop("procrastinate_app", None)
        asyncio.run(fill_procrastinate(jobs))
        with running(PROCRASTINATE, database):
            wait_for(
                lambda: count(database, "SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'") == jobs
            )
        engine = create_engine(database)
        with engine.connect() as connection:
            took = connection.scalar(
                text(
                    "SELECT extract(epoch FROM max(at) - min(at)) FROM procrastinate_events"
                    " WHERE type IN ('started', 'succeeded')"
                )
            )
        engine.dispose()
        return jobs / float(took)


async def fill_procrastinate(jobs: int) -> None:
    from procrastinate_app import app
    from procrastinate_app import note

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        for number in range(jobs):
            await note.defer_async(number=number)


def count(database: str, statement: str) -> int:
    engine = create_engine(database)
    with engine.connect() as connection:
        number: int = connection.scalar(text(statement)) or 0
    engine.dispose()
    return number


def wait_for(condition: Callable[[], bool], nap: float = 0.2) -> None:
    until = time.monotonic() + 300
    while not condition():
        if time.monotonic() > until:
            sys.exit("the worker did not finish within 300 s")
        time.sleep(nap)


CONTENDERS = {
    "Flask-Condor, SQLite": (condor, "sqlite"),
    "huey, SQLite": (huey, "sqlite"),
    "Flask-Condor, PostgreSQL": (condor, "postgresql"),
    "procrastinate, PostgreSQL": (procrastinate, "postgresql"),
}


def main() -> None:
    options = parser_of(__doc__, jobs=10_000, rounds=5).parse_args()
    taken = [{name: run(kind, options.jobs) for name, (run, kind) in CONTENDERS.items()} for _ in range(options.rounds)]
    ours, theirs = list(CONTENDERS)[::2], list(CONTENDERS)[1::2]
    figures = {
        "deliveries per second": {
            name: round(statistics.median(rates[name] for rates in taken)) for name in CONTENDERS
        },
        "ratio": {
            f"{one} / {other}": round(statistics.median(rates[one] / rates[other] for rates in taken), 2)
            for one, other in zip(ours, theirs, strict=True)
        },
    }
    keep(figures, options, ("sqlalchemy", "huey", "procrastinate"))


if __name__ == "__main__":
    main()
