"""The programs of the pages: each served by gunicorn, with an event log of its own and workers on request."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import closing
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from typing import NamedTuple

from tests.servers import ROOT
from tests.servers import gunicorn

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


class Delivery(NamedTuple):
    state: str
    result: Any = None
    error: str | None = None


class Program:
    """A program that is being served."""

    def __init__(self, app: str, port: int, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self._app = app
        self._port = port
        self._environment = environment

    def post(self, path: str, data: object) -> tuple[int, Any]:
        """POST *data* as JSON; return the status and the JSON of the answer."""
        request = urllib.request.Request(f"http://127.0.0.1:{self._port}{path}", json.dumps(data).encode())
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)

    def events(self) -> list[tuple[str, str, Any, bool]]:
        """Return id, name, payload and whether it is an orphan of each event, in the order they were fired."""
        rows = self._select("SELECT id, name, payload, is_orphan FROM condor_events ORDER BY fired_at, id")
        return [(id, name, json.loads(payload), bool(is_orphan)) for id, name, payload, is_orphan in rows]

    def deliveries(self, event_name: str) -> dict[str, Delivery]:
        """Return the delivery of the last event called *event_name* to each job, by the job's name."""
        rows = self._select(
            "SELECT d.job, d.state, d.result, d.error"
            " FROM condor_deliveries d JOIN condor_events e ON e.id = d.event_id"
            " WHERE e.name = ? ORDER BY e.fired_at, d.id",
            event_name,
        )
        return {
            job.rpartition(":")[2]: Delivery(state, result and json.loads(result), error)
            for job, state, result, error in rows
        }

    def wait_for(self, condition: Callable[[], object]) -> None:
        until = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < until, "not within 60 s"
            time.sleep(0.05)

    def work_once(self) -> None:
        """Run what is due."""
        subprocess.run(self._worker("--once"), cwd=ROOT, env=os.environ | self._environment, check=True, timeout=120)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Run a worker meanwhile."""
        worker = subprocess.Popen(self._worker(), cwd=ROOT, env=os.environ | self._environment)
        try:
            yield
        finally:
            worker.terminate()
            worker.wait(60)

    def _worker(self, *options: str) -> list[str]:
        return [sys.executable, "-m", "flask", "--app", self._app, "events", "worker", *options]

    def _select(self, query: str, *values: object) -> list[Any]:
        with closing(sqlite3.connect(self.folder / "condor.db")) as connection:
            return connection.execute(query, values).fetchall()


@contextmanager
def served(app: str, folder: Path, **settings: object) -> Iterator[Program]:
    """Serve the program of the module *app*; its settings are those given, and where its event log is."""
    settings["CONDOR_DATABASE_URL"] = f"sqlite:///{folder / 'condor.db'}"
    environment = {f"FLASK_{key}": str(value) for key, value in settings.items()}
    with gunicorn(f"{app}:create_app()", **environment) as server:
        yield Program(app, server.port, folder, environment)
