"""The loader: one process that posts to the shop over many connections, each a closed loop, and keeps a ledger.

The ledger is only appended to, and synced: ``attempt id`` before each request; after it ``status id time seconds pid``,
where a request that got no answer has the status 0, and the pid is that of the process that answered, or 0. Each
connection draws from the mix with a seed of its own. SIGTERM lets the requests under way be answered, and ends it.
"""

from __future__ import annotations

import argparse
import http.client
import os
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from threading import Event

NAP = 0.02
"""Seconds before the next request, after one that got no answer."""


@dataclass
class Ledger:
    """What the loader wrote: the ids it attempted, and how each was answered."""

    attempted: set[str] = field(default_factory=set)
    status: dict[str, int] = field(default_factory=dict)
    answered_at: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    """How long each answer took."""
    answered_by: dict[str, int] = field(default_factory=dict)
    """The pid of the process that answered, 0 where none did."""

    @classmethod
    def read(cls, *files: Path) -> Ledger:
        ledger = cls()
        for line in (line for file in files for line in file.read_text().splitlines()):
            word, id, *times = line.split()
            if word == "attempt":
                ledger.attempted.add(id)
            else:
                ledger.status[id] = int(word)
                ledger.answered_at[id], ledger.seconds[id] = map(float, times[:2])
                ledger.answered_by[id] = int(times[2])
        return ledger

    @property
    def acked(self) -> set[str]:
        return {id for id, status in self.status.items() if 200 <= status < 300}


class Loader:
    def __init__(self, port: int, file: Path, paths: list[str], seed: str) -> None:
        self._port = port
        self._file = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._paths = paths
        self._seed = seed
        self._is_over = Event()

    def run(self, connections: int, seconds: float, requests: int) -> None:
        """Load the shop for *seconds*, or until each connection has made *requests*."""
        until = time.monotonic() + seconds
        with ThreadPoolExecutor(connections) as pool:
            list(pool.map(lambda number: self._loop(number, until, requests), range(connections)))

    def end(self, *_: object) -> None:
        """Begin no more requests."""
        self._is_over.set()

    def _loop(self, number: int, until: float, requests: int) -> None:
        chance = random.Random(f"{self._seed} {number}")
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        for count in range(requests):
            if self._is_over.is_set() or time.monotonic() > until:
                break
            id = f"{self._seed}-{number}-{count}"
            self._write(f"attempt {id}\n")
            began = time.monotonic()
            status, pid = self._post(connection, chance.choice(self._paths).format(id=id))
            self._write(f"{status} {id} {time.monotonic():.6f} {time.monotonic() - began:.6f} {pid}\n")
        connection.close()

    def _write(self, line: str) -> None:
        os.write(self._file, line.encode())
        os.fsync(self._file)

    def _post(self, connection: http.client.HTTPConnection, path: str) -> tuple[int, int]:
        try:
            connection.request("POST", path)
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            time.sleep(NAP)
            return 0, 0
        return response.status, int(response.getheader("X-Process", "0"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", nargs="+", help="what to post to, with {id}; drawn at random")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--seed", required=True)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--requests", type=int, default=10**9, help="of each connection")
    options = parser.parse_args()
    loader = Loader(options.port, options.ledger, options.paths, options.seed)
    signal.signal(signal.SIGTERM, loader.end)
    loader.run(options.connections, options.seconds, options.requests)


if __name__ == "__main__":
    main()
