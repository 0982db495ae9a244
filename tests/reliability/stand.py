"""The stand: a folder and a database for one test, in which the shop, its workers and a loader are run."""

from __future__ import annotations

import math
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import AbstractContextManager
from contextlib import contextmanager
from contextlib import nullcontext
from dataclasses import dataclass
from dataclasses import field
from functools import cached_property
from pathlib import Path

import flask_condor
from flask import Flask
from flask_condor import Event
from sqlalchemy import text

from tests.ports import kept_port
from tests.reliability.checker import Tables
from tests.reliability.checker import Verdict
from tests.reliability.checker import judge
from tests.reliability.loader import Ledger
from tests.reliability.processes import Running
from tests.reliability.processes import events_command
from tests.reliability.processes import gunicorn_command
from tests.reliability.processes import kill
from tests.reliability.processes import listens
from tests.reliability.processes import running
from tests.reliability.processes import wait_for
from tests.reliability.shop import Base
from tests.reliability.shop import create_app
from tests.reliability.shop import db
from tests.reliability.witness import FILE
from tests.reliability.witness import Witness

TIMES = {"claims.py": {"LEASE": 15.0}, "worker.py": {"HEARTBEAT": 4.0, "SWEEP": 5.0}}
"""Seconds: for how long a worker owns a job, and how often leases are renewed and looked at."""
QUICKER = 5
"""How many times shorter they are in the quick tests."""
SEED = os.environ.get("RELIABILITY_SEED", "1")


@dataclass
class Kills:
    """The processes killed under load, and what they had in hand when they died."""

    pids: list[int] = field(default_factory=list)
    in_hand: list[int] = field(default_factory=list)

    @property
    def hits(self) -> int:
        return sum(count > 0 for count in self.in_hand)

    def __str__(self) -> str:
        return f"{len(self.pids)} kills, {self.hits} of them hit work in hand, {sum(self.in_hand)} deliveries in all"


class Stand:
    def __init__(self, folder: Path, url: str, seed: str, shared: Path) -> None:
        self.folder = folder
        self.outputs = folder
        """Where what the product prints is written."""
        self.url = url
        self.tables = Tables(url)
        self.lease = TIMES["claims.py"]["LEASE"]
        self.sweep = TIMES["worker.py"]["SWEEP"]
        self.seed = seed
        self._shared = shared
        self.chance = random.Random(seed)
        self.environment = {
            "SHOP_SQLALCHEMY_DATABASE_URI": url,
            FILE: str(folder / "witness.txt"),
        }
        self.under: dict[str, list[str]] = {}
        """By the names of processes, such as "web": what their command is started by."""
        self.kind = "sqlite" if self.tables.is_sqlite else "postgresql"
        self._ledgers: list[Path] = []
        self._attempted: list[str] = []
        self._fired: list[str] = []

    def make_tables(self) -> None:
        """Make the shop's own table; an SQLite file is put in the mode that suits an app with many processes."""
        if self.tables.is_sqlite:
            with self.tables.engine.connect() as connection:
                connection.execute(text("PRAGMA journal_mode = WAL"))
        Base.metadata.create_all(self.tables.engine)

    def hurry(self, quicker: float = QUICKER) -> None:
        """Run a copy of the product whose TIMES are so many times shorter; nothing else differs."""
        self.lease, self.sweep = (seconds / quicker for seconds in (self.lease, self.sweep))
        self.environment["PYTHONPATH"] = str(quicker_product(self._shared / f"quicker-{quicker}", quicker))

    @cached_property
    def app(self) -> Flask:
        """The shop in this process, to fire in."""
        before = dict(os.environ)
        os.environ.update(self.environment)
        try:
            return create_app()
        finally:
            os.environ.clear()
            os.environ.update(before)

    def fire(self, name: str, id: str, *, delay: float | None = None, **payload: object) -> str:
        """Fire an event in this process; return its id."""
        with self.app.app_context():
            self.app.extensions["condor"].fire(Event(name, payload, id), delay=delay)
        self._fired.append(id)
        return id

    def attempted(self, id: str) -> None:
        """Enter a request in the ledger that the loader does not make."""
        self._attempted.append(id)

    def accepted(self, id: str) -> None:
        """Enter that a request was answered by 2xx."""
        self._fired.append(id)

    def add_order(self, id: str) -> None:
        """Insert an order without an event."""
        self.tables.execute("INSERT INTO orders (id, shipped) VALUES (:id, 0)", id=id)

    def close(self) -> None:
        """Close the connections of this process."""
        self.tables.engine.dispose()
        if "app" in vars(self):
            with self.app.app_context():
                db.engine.dispose()
            self.app.extensions["condor"].log.engine.dispose()

    @contextmanager
    def web(
        self, *options: str, port: int | None = None, environment: dict[str, str] | None = None
    ) -> Iterator[tuple[Running, int]]:
        """Run gunicorn with the shop; yield it and its port once it listens."""
        keeping = nullcontext(port) if port else kept_port()
        with keeping as port, self._run("web", gunicorn_command(port, *options), environment or {}) as web:
            wait_for(lambda: listens(port) or web.process.poll() is not None, f"gunicorn did not listen: {web.output}")
            yield web, port

    @contextmanager
    def workers(self, *options: str, wait: bool = True, environment: dict[str, str] | None = None) -> Iterator[Running]:
        """Run `flask events worker`, by default 2 processes of 4 threads; yield it once all have signed in."""
        options = options or ("--processes=2", "--threads=4")
        processes = next((int(option.partition("=")[2]) for option in options if "--processes" in option), 1)
        with self._run("workers", events_command("worker", *options), environment or {}) as workers:
            if wait:
                wait_for(lambda: self.count_signed_in(workers) == processes, f"no workers: {workers.output}")
            yield workers

    def count_signed_in(self, workers: Running) -> int:
        """Count the processes of *workers* that the product has seen alive."""
        return len(set(workers.children()) & self.tables.pids_of_workers())

    @contextmanager
    def load(self, port: int, *paths: str, **options: float) -> Iterator[Running]:
        """Run the loader in the background, and wait for its end at the end of the block."""
        ledger = self.folder / f"ledger-{len(self._ledgers)}.txt"
        ledger.touch()
        seed = f"{self.seed}{len(self._ledgers)}"
        self._ledgers.append(ledger)
        command = [sys.executable, "-m", "tests.reliability.loader", *paths, f"--port={port}"]
        command += [f"--ledger={ledger}", f"--seed={seed}", *(f"--{name}={value}" for name, value in options.items())]
        with self._run("loader", command, {}) as loader:
            yield loader
            assert loader.process.wait(options.get("seconds", 600) + 120) == 0, loader.output.read_text()

    def _run(self, name: str, command: list[str], environment: dict[str, str]) -> AbstractContextManager[Running]:
        output = self.next_output(name)
        output.touch()
        command = [*self.under.get(name, ()), *command]
        return running(command, self.environment | environment, output)

    def next_output(self, name: str) -> Path:
        """Return the file to which the next process of that name prints."""
        folder = self.folder if name == "loader" else self.outputs
        return folder / f"{name}-{len(list(folder.glob(f'{name}-*.log')))}.log"

    def crash(self, *processes: Running) -> None:
        """Kill them all at once, while nobody else has the database open: what is not in its files is gone."""
        self.close()
        for one in processes:
            one.end(signal.SIGKILL)

    def kill_busy(self, workers: Running, loader: Running, every: float) -> Kills:
        """Kill a random process that has begun a job, now and then, for as long as the loader runs."""

        def busy() -> list[int]:
            seen = {note.pid for note in self.witness.begun}
            return [pid for pid in workers.children() if pid in seen]

        kills = Kills()
        for pid in self.kill_some(busy, loader, every):
            kills.pids.append(pid)
            kills.in_hand.append(self.tables.in_hand_of(pid))
        return kills

    def kill_some(
        self, victims: Callable[[], list[int]], loader: Running, every: float, seconds: float = 3600
    ) -> Iterator[int]:
        """Kill a random victim now and then, for *seconds* of the load or for all of it; yield each pid when dead."""
        until = time.monotonic() + seconds
        while loader.process.poll() is None and time.monotonic() < until:
            time.sleep(every)
            pids = victims()
            pid = self.chance.choice(pids) if pids else None
            if pid is not None and kill(pid):
                yield pid

    def drain(self, seconds: float = 120) -> None:
        """Wait until every delivery has come to its end; fail when for so many seconds there are not fewer left."""
        fewest, until = math.inf, 0.0
        while left := self.tables.count_left():
            if left < fewest:
                fewest, until = left, time.monotonic() + seconds
            assert time.monotonic() < until, f"the deliveries did not drain, {left} are left: {self.folder}"
            time.sleep(0.02 + left / 10_000)  # to count many takes the processors from the workers

    @property
    def ledger(self) -> Ledger:
        """What the loaders wrote, and what was fired in this process."""
        ledger = Ledger.read(*self._ledgers)
        ledger.attempted.update(self._fired, self._attempted)
        ledger.status |= dict.fromkeys(self._fired, 201)
        return ledger

    def count_answers(self, status: int) -> int:
        """Count the requests of the loaders that were answered so, without a look at each."""
        return sum(f"\n{file.read_text()}".count(f"\n{status} ") for file in self._ledgers)

    @property
    def witness(self) -> Witness:
        return Witness(Path(self.environment[FILE]))

    def judge(self) -> Verdict:
        return judge(self.ledger, self.witness, self.tables)

    def witnessed(self, condition: Callable[[Witness], object], otherwise: str, seconds: float = 60) -> Witness:
        """Wait until the witness has seen what *condition* looks for; return it as it then stands."""
        wait_for(lambda: condition(self.witness), otherwise, seconds)
        return self.witness

    def tell(self, *figures: object) -> None:
        """Print the figures of a test; `pytest -rP` shows them."""
        print(f"seed {self.seed}:", *figures, sep="\n  ")

    def output(self, name: str) -> str:
        """Return what the processes of that name have printed."""
        return "".join(file.read_text(errors="replace") for file in sorted(self.outputs.glob(f"{name}-*.log")))


def quicker_product(folder: Path, quicker: float) -> Path:
    """Copy the product to *folder*, once, with shorter times; return the folder, to be put on the path."""
    copy = folder / "flask_condor"
    if copy.exists():
        return folder
    shutil.copytree(Path(flask_condor.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for name, times in TIMES.items():
        source = (copy / name).read_text()
        for setting, seconds in times.items():
            line = f"\n{setting} = {seconds}\n"
            assert line in source, f"{name} no longer holds {line!r}: bring TIMES up to date"
            source = source.replace(line, f"\n{setting} = {seconds / quicker}\n")
        (copy / name).write_text(source)
    return folder
