"""Requests per second under gunicorn: a view that fires an event with 3 jobs against one that calls 3 functions.

    apt-get install wrk
    python benchmarks/views.py [--rounds 10] [--seconds 4] [--json FILE]

One gunicorn worker serves both views, which are loaded in turn, the order swapped each round.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from frame import keep
from frame import parser_of

ADDRESS = "127.0.0.1:8477"


def load(path: str, seconds: int, address: str = ADDRESS) -> float:
    """Return the requests per second that wrk counts on *path* over 16 connections."""
    command = ["wrk", "-t1", "-c16", f"-d{seconds}s", f"http://{address}{path}"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in output, output
    found = re.search(r"Requests/sec:\s+([\d.]+)", output)
    assert found, output
    return float(found.group(1))


def measure(rounds: int, seconds: int) -> list[dict[str, float]]:
    for path in ("/fires", "/calls"):
        load(path, 1)
    taken = []
    for number in range(rounds):
        paths = ("/fires", "/calls") if number % 2 else ("/calls", "/fires")
        taken.append({path: load(path, seconds) for path in paths})
    return taken


@contextmanager
def served(address: str = ADDRESS, **environment: str) -> Iterator[int]:
    """Serve views_app with one gunicorn worker; yield the process id of gunicorn."""
    if not shutil.which("wrk"):
        sys.exit("wrk is not installed: run apt-get install wrk")
    command = [sys.executable, "-m", "gunicorn", "views_app:app", "--bind", address, "--log-level", "warning"]
    server = subprocess.Popen(command, cwd=Path(__file__).parent, env=os.environ | environment)
    try:
        wait_for_server(address)
        yield server.pid
    finally:
        server.terminate()
        server.wait(10)


def wait_for_server(address: str) -> None:
    for _ in range(100):
        try:
            urlopen(f"http://{address}/calls").close()
            return
        except OSError:
            time.sleep(0.1)
    sys.exit("gunicorn did not start: see its output above")


def main() -> None:
    options = parser_of(__doc__, rounds=10, seconds=4).parse_args()
    with served():
        taken = measure(options.rounds, options.seconds)
    ratios = [rates["/fires"] / rates["/calls"] for rates in taken]
    figures = {
        "requests per second": {
            path: round(statistics.median(rates[path] for rates in taken)) for path in ("/fires", "/calls")
        },
        "ratio": {"min": min(ratios), "median": statistics.median(ratios), "max": max(ratios)},
    }
    keep(figures, options, ("flask", "gunicorn"))


if __name__ == "__main__":
    main()
