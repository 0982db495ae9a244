"""Times one durable accept: a queued fire alone, and one inside the app's own transaction, on a real disk.

    pip install -r benchmarks/requirements.txt
    python benchmarks/accept.py [--rounds 40] [--fires 50] [--folder .] [--postgresql URL] [--json FILE]

All in this process, in turn, the order swapped each round. A fire alone is compared with a bare ``INSERT; COMMIT`` of
the same bytes at ``synchronous=FULL`` and with huey's enqueue; one inside a transaction with that transaction.
"""

from __future__ import annotations

import json
import os
import sqlite3
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from flask import Flask
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor import ctx
from frame import keep
from frame import parser_of
from huey import SqliteHuey
from sqlalchemy import Engine
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import Session
from sqlalchemy.orm import mapped_column

Contender = Callable[[], object]
PAYLOAD = {"user": {"id": 17, "name": "Ada Lovelace", "mail": "ada@example.org"}}
COMPARED = {
    "fire alone": "bare INSERT; COMMIT",
    "huey enqueue": "bare INSERT; COMMIT",
    "transaction with a fire": "transaction",
    "PostgreSQL: fire alone": "PostgreSQL: transaction",
    "PostgreSQL: transaction with a fire": "PostgreSQL: transaction",
}
"""Which contender each is divided by."""


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "accept_orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]


def job(event: Event[Any], ctx: Context) -> None:
    """Wait in the queue: no worker runs here."""


def bare_insert(folder: Path) -> Contender:
    """Return an INSERT and COMMIT of as many bytes as the rows of one event and one delivery hold."""
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    for statement in (
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = FULL",
        "CREATE TABLE t (id TEXT PRIMARY KEY, body TEXT)",
    ):
        connection.execute(statement)
    body = json.dumps(PAYLOAD) + "x" * 250

    def insert() -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO t VALUES (?, ?)", (os.urandom(18).hex(), body))
        connection.execute("COMMIT")

    return insert


def huey_enqueue(folder: Path) -> Contender:
    enqueue: Any = SqliteHuey(filename=str(folder / "huey.db"), fsync=True).task()(task)
    return lambda: enqueue(PAYLOAD)


def task(payload: object) -> None:
    """Wait in huey's queue, likewise."""


def manager_for(url: str) -> EventsManager:
    app = Flask("accept")
    app.config["CONDOR_DATABASE_URL"] = url
    Condor(app)
    manager: EventsManager = app.extensions["condor"]
    manager.register("user.registered", job, run="queued")
    return manager


def transaction(engine: Engine, *, fires: bool) -> Contender:
    def insert_order() -> None:
        with Session(engine) as session:
            session.add(Order(text="one more"))
            if fires:
                ctx.events.fire(Event("user.registered", PAYLOAD), session=session)
            session.commit()

    return insert_order


def contenders_of(url: str, prefix: str) -> tuple[EventsManager, dict[str, Contender]]:
    engine = create_engine(url)
    Base.metadata.create_all(engine)
    return manager_for(url), {
        f"{prefix}fire alone": lambda: ctx.events.fire(Event("user.registered", PAYLOAD)),
        f"{prefix}transaction": transaction(engine, fires=False),
        f"{prefix}transaction with a fire": transaction(engine, fires=True),
    }


def time_one(contender: Contender, fires: int) -> float:
    start = time.perf_counter()
    for _ in range(fires):
        contender()
    return (time.perf_counter() - start) / fires * 1e6


def measure(
    manager: EventsManager, contenders: dict[str, Contender], rounds: int, fires: int
) -> list[dict[str, float]]:
    taken = []
    with manager.app.test_request_context():
        for number in range(rounds + 1):
            names = list(contenders) if number % 2 else list(contenders)[::-1]
            taken.append({name: time_one(contenders[name], fires) for name in names})
    return taken[1:]


def figures_of(taken: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Return microseconds, and the ratio to what each is compared with: medians over the rounds."""
    figures = {name: {"us": round(statistics.median(times[name] for times in taken), 1)} for name in taken[0]}
    for name in figures.keys() & COMPARED.keys():
        ratios = [times[name] / times[COMPARED[name]] for times in taken]
        figures[name]["ratio"] = round(statistics.median(ratios), 2)
    return figures


def main() -> None:
    parser = parser_of(__doc__, rounds=40, fires=50)
    parser.add_argument("--folder", type=Path, default=Path("."), help="on the disk to be measured")
    parser.add_argument("--postgresql", metavar="URL", help="an empty database, also measured")
    options = parser.parse_args()
    with TemporaryDirectory(dir=options.folder.resolve()) as name:
        folder = Path(name)
        manager, contenders = contenders_of(f"sqlite:///{folder}/condor.db", "")
        contenders |= {"bare INSERT; COMMIT": bare_insert(folder), "huey enqueue": huey_enqueue(folder)}
        figures = figures_of(measure(manager, contenders, options.rounds, options.fires))
    if options.postgresql:
        server = contenders_of(options.postgresql, "PostgreSQL: ")
        figures |= figures_of(measure(*server, options.rounds, options.fires))
    print(f"{'':36}{'µs':>8}  ratio")
    for contender, figure in figures.items():
        compared = f"{figure['ratio']:6.2f} x {COMPARED[contender]}" if "ratio" in figure else ""
        print(f"{contender:36}{figure['us']:8.0f} {compared}")
    del options.postgresql
    keep({"accepts": figures}, options, ("sqlalchemy", "huey"), shown=False)


if __name__ == "__main__":
    main()
