"""Real workers for tests: ``flask events worker`` with the app of ``tests/apps/queued.py``, its log and its witness."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor.models import deliveries
from sqlalchemy import select

from tests.apps import queued
from tests.servers import ROOT


class Bench:
    """A database, a witness, and the workers that a test has started."""

    def __init__(self, manager: EventsManager, folder: Path) -> None:
        self.manager = manager
        self.processes: list[subprocess.Popen[bytes]] = []
        self._folder = folder

    def fire(self, name: str, payload: Any = None, times: int = 1, **options: Any) -> None:
        with self.manager.app.app_context():
            for _ in range(times):
                self.manager.fire(Event(name, payload), **options)

    def command(self, *options: str, app: str = "tests.apps.queued") -> list[str]:
        return [sys.executable, "-m", "flask", "--app", app, "events", "worker", *options]

    def run_once(self, *options: str, app: str = "tests.apps.queued") -> subprocess.CompletedProcess[str]:
        command = self.command("--once", *options, app=app)
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)

    def start(self, *options: str, log: Path | None = None) -> subprocess.Popen[bytes]:
        with (log or self.log_file).open("ab") as file:
            process = subprocess.Popen(self.command(*options), cwd=ROOT, stderr=file)
        self.processes.append(process)
        return process

    def stop(self, process: subprocess.Popen[bytes]) -> int:
        process.send_signal(signal.SIGTERM)
        return process.wait(60)

    @property
    def log_file(self) -> Path:
        return self._folder / "worker.log"

    def log(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def runs(self) -> list[tuple[str, int, int]]:
        """What the witness saw: (event name, attempt, pid) of each run, in order."""
        seen = Path(os.environ[queued.WITNESS])
        lines = seen.read_text().splitlines() if seen.exists() else []
        return [(name, int(attempt), int(pid)) for name, _, attempt, pid in map(str.split, lines)]

    def rows(self) -> list[Any]:
        with self.manager.log.read() as connection:
            return list(connection.execute(select(deliveries).order_by(deliveries.c.id)))

    def states(self) -> list[str]:
        return [row.state for row in self.rows()]

    def wait_for(self, condition: Callable[[], object], seconds: float = 60) -> None:
        until = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < until, f"not within {seconds} s\n{self.runs()}\n{self.log()}"
            time.sleep(0.05)


@pytest.fixture
def bench(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setenv("CONDOR_DATABASE_URL", database_url)
    monkeypatch.setenv(queued.WITNESS, str(tmp_path / "witness"))
    manager: EventsManager = queued.create_app().extensions["condor"]
    bench = Bench(manager, tmp_path)
    yield bench
    for process in bench.processes:
        if process.poll() is None:
            process.kill()
            process.wait()
    for pid in {pid for _, _, pid in bench.runs()} - {os.getpid()}:
        end_orphan(pid)
    manager.log.engine.dispose()


def end_orphan(pid: int) -> None:
    """Kill what is left of a worker process that a test has started, if it is one."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        if b"events" in command and b"worker" in command:
            os.kill(pid, signal.SIGKILL)
    except OSError:
        return
