"""Real servers for tests: gunicorn with an app of this repository, on a free port of the loopback interface."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.ports import kept_port

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Server:
    port: int
    pid: int

    def worker_pids(self) -> list[int]:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def get_all(self, paths: Sequence[str], connections: int = 8) -> list[tuple[int, str]]:
        """GET *paths* over a few connections at once, each renewed after 50; return (status, body) in their order."""
        shares = [paths[start::connections] for start in range(connections)]
        with ThreadPoolExecutor(connections) as pool:
            answers = [iter(share) for share in pool.map(self._get_each, shares)]
        return [next(answers[number % connections]) for number in range(len(paths))]

    def _get_each(self, paths: Sequence[str]) -> list[tuple[int, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        answers = []
        for number, path in enumerate(paths):
            if number % 50 == 0:
                connection.close()
            connection.request("GET", path)
            response = connection.getresponse()
            answers.append((response.status, response.read().decode()))
        connection.close()
        return answers


@contextmanager
def gunicorn(app: str, *options: str, **environment: str) -> Iterator[Server]:
    with kept_port() as port:
        binding = ("--bind", f"127.0.0.1:{port}", "--log-level", "warning")
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", app, *binding, *options], cwd=ROOT, env=os.environ | environment
        )
        try:
            wait_until_it_listens(port, process)
            yield Server(port, process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def wait_until_it_listens(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        assert process.poll() is None, "gunicorn ended at once: see its output above"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"gunicorn did not listen on port {port} within 30 s")
