"""Events per second over HTTP: stored against only answered; what a malformed body costs; memory after many of those.

    apt-get install wrk
    python benchmarks/ingress.py [--rounds 10] [--seconds 4] [--malformed 100000] [--json FILE]

Two gunicorn servers of two workers each, one that stores in SQLite and one that answers without storing, are loaded by
wrk over 16 connections in turn, the order swapped each round. Both ask the log for the token of each request. The
processor time per request, of all workers, is less sensitive to what else the machine does than the rates are.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import urlopen

from databases import new_database
from flask_condor.ingress.tokens import create
from frame import keep
from frame import parser_of
from ingress_app import create_app

ADDRESSES = {"stores": "127.0.0.1:8481", "answers": "127.0.0.1:8482"}
KINDS = {"accepted": "stores", "answered": "answers", "malformed": "stores"}
"""What is sent, and to which server."""
SETTLING = 0.5
"""Seconds between two loads, so that the background work of one is not counted to the next."""
GOOD = json.dumps({"event": "order.paid", "payload": {"order": 7, "customer": "Ada", "items": ["x" * 20] * 8}}).encode()
BAD = [
    GOOD[:-1],
    GOOD.replace(b'"order": 7', b'"order": 7, "order": 8'),
    GOOD.replace(b"7", b"NaN"),
    GOOD.replace(b"7", b"9007199254740993"),
    GOOD.replace(b"7", b"[" * 60 + b"]" * 60),
    GOOD.replace(b"Ada", b"\\ud800"),
    GOOD.replace(b"Ada", b"\\u0000"),
    GOOD.replace(b"Ada", b"\xff\xfe"),
    b"[" * len(GOOD),
    b"\0" * len(GOOD),
    GOOD.replace(b"event", b"evnt"),
    b"",
]
SCRIPT = """
local bodies, threads, n = {%s}, {}, 0
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer %s"
function setup(thread) table.insert(threads, thread) end
function init() accepted, refused, broken = 0, 0, 0 end
function request()
  n = n + 1
  return wrk.format("POST", "/trigger", nil, bodies[n %% #bodies + 1])
end
function response(status)
  if status < 300 then accepted = accepted + 1
  elseif status >= 400 and status < 500 then refused = refused + 1
  else broken = broken + 1 end
end
function done(summary)
  local thread = threads[1]
  local counts = {thread:get("accepted"), thread:get("refused"), thread:get("broken")}
  io.write(string.format("\\nCOUNTED %%d %%d %%d %%d", summary.duration, unpack(counts)))
end
"""


class Load(NamedTuple):
    """What one run of wrk counted."""

    seconds: float
    accepted: int
    refused: int
    broken: int

    @property
    def rate(self) -> float:
        return (self.accepted + self.refused) / self.seconds


class Bench:
    """Two servers, the scripts with which wrk loads them, and what is read of their processes."""

    def __init__(self, folder: Path, token: str, servers: dict[str, int]) -> None:
        self._servers = servers
        self._scripts = {kind: folder / f"{kind}.lua" for kind in KINDS}
        for kind, script in self._scripts.items():
            bodies = BAD if kind == "malformed" else [GOOD]
            script.write_text(SCRIPT % (",".join(map(in_lua, bodies)), token))

    def load(self, kind: str, seconds: int) -> Load:
        address = f"http://{ADDRESSES[KINDS[kind]]}"
        command = ["wrk", "-t1", "-c16", f"-d{seconds}s", "-s", str(self._scripts[kind]), address]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        duration, *counts = map(int, output.rpartition("COUNTED ")[2].split())
        found = Load(duration / 1e6, *counts)
        assert not found.broken and not (found.accepted if kind == "malformed" else found.refused), (kind, found)
        return found

    def workers(self, kind: str) -> list[int]:
        parent = self._servers[KINDS[kind]]
        return sorted(map(int, Path(f"/proc/{parent}/task/{parent}/children").read_text().split()))

    def processor_time(self, kind: str) -> float:
        """Return the seconds of processor time that all workers have used."""
        stats = (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in self.workers(kind))
        return sum(int(fields[11]) + int(fields[12]) for fields in stats) / os.sysconf("SC_CLK_TCK")

    def resident(self, kind: str) -> dict[int, float]:
        """Return the resident memory of each worker, in MiB."""
        size = os.sysconf("SC_PAGE_SIZE")
        pages = {pid: int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.workers(kind)}
        return {pid: round(count * size / 2**20, 1) for pid, count in pages.items()}


def in_lua(body: bytes) -> str:
    return '"' + "".join(f"\\{byte:03d}" for byte in body) + '"'


def measure_rates(bench: Bench, rounds: int, seconds: int) -> tuple[list[dict[str, float]], dict[str, float]]:
    """Return the requests per second of each round, and the microseconds of processor time per request."""
    taken, used, count = [], dict.fromkeys(KINDS, 0.0), dict.fromkeys(KINDS, 0)
    for kind in KINDS:
        bench.load(kind, 1)
    for number in range(rounds):
        rates = {}
        for kind in list(KINDS)[:: 1 if number % 2 else -1]:
            before = bench.processor_time(kind)
            found = bench.load(kind, seconds)
            time.sleep(SETTLING)
            used[kind] += bench.processor_time(kind) - before
            count[kind] += found.accepted + found.refused
            rates[kind] = found.rate
        taken.append(rates)
    return taken, {kind: round(used[kind] / count[kind] * 1e6, 1) for kind in KINDS}


def measure_memory(bench: Bench, malformed: int) -> dict[str, Any]:
    """Send so many malformed bodies, the first tenth of them to warm up, and return what became of the workers."""
    before, sent = bench.workers("malformed"), 0
    while sent < malformed / 10:
        sent += bench.load("malformed", 1).refused
    warm = bench.resident("malformed")
    while sent < malformed:
        sent += bench.load("malformed", 2).refused
    time.sleep(SETTLING)
    now = bench.resident("malformed")
    is_same = before == bench.workers("malformed")
    growth = [round(now[pid] - warm[pid], 1) for pid in warm] if is_same else None
    return {"sent": sent, "5xx": 0, "workers restarted": not is_same, "growth of each worker, MiB": growth}


@contextmanager
def served(which: str, **environment: str) -> Iterator[int]:
    """Serve ingress_app with two gunicorn workers; yield the process id of gunicorn."""
    address = ADDRESSES[which]
    command = [sys.executable, "-m", "gunicorn", "ingress_app:create_app()", "--bind", address, "--workers", "2"]
    levels = ["--log-level", "critical"]
    with open(os.devnull, "w") as nowhere:  # a line for each kind of what is refused, which is not what is measured
        server = subprocess.Popen(
            [*command, *levels], cwd=Path(__file__).parent, env=os.environ | environment, stderr=nowhere
        )
    try:
        wait_for_server(address)
        yield server.pid
    finally:
        server.terminate()
        server.wait(20)


def wait_for_server(address: str) -> None:
    """Wait until the app is loaded: gunicorn listens before that."""
    for _ in range(300):
        try:
            urlopen(f"http://{address}/").close()
        except HTTPError:  # 404: there is no such page
            return
        except OSError:
            time.sleep(0.1)
    sys.exit("gunicorn did not start: run it by hand to see why")


def make_token(url: str) -> str:
    os.environ["FLASK_CONDOR_DATABASE_URL"] = url
    log = create_app().extensions["condor"].log
    with log.begin() as connection:
        made = create(connection, "benchmark", actor="benchmark")
    log.engine.dispose()
    return made.token


def flush_time(folder: Path) -> float:
    """Return how many milliseconds the disk of *folder* takes to flush 4 KiB: an accepted event waits for that once."""
    taken = []
    with (folder / "flushed").open("wb", buffering=0) as file:
        for _ in range(100):
            file.write(b"x" * 4096)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - began)
    return round(statistics.median(taken) * 1000, 2)


def main() -> None:
    options = parser_of(__doc__, rounds=10, seconds=4, malformed=100_000).parse_args()
    if not shutil.which("wrk"):
        sys.exit("wrk is not installed: run apt-get install wrk")
    with TemporaryDirectory() as folder, new_database("sqlite") as url:
        token, flush = make_token(url), [flush_time(Path(folder))]
        with served("stores") as stores, served("answers", STORES="no") as answers:
            bench = Bench(Path(folder), token, {"stores": stores, "answers": answers})
            taken, used = measure_rates(bench, options.rounds, options.seconds)
            flush.append(flush_time(Path(folder)))
            memory = measure_memory(bench, options.malformed)
    ratios = {
        "accepted / answered": [rates["accepted"] / rates["answered"] for rates in taken],
        "cost of malformed / accepted": [rates["accepted"] / rates["malformed"] for rates in taken],
    }
    figures = {
        "requests per second": {kind: round(statistics.median(rates[kind] for rates in taken)) for kind in KINDS},
        "ratios": {
            what: {"min": min(each), "median": statistics.median(each), "max": max(each)}
            for what, each in ratios.items()
        },
        "processor time per request, microseconds": used,
        "flush before and after, milliseconds": flush,
        "malformed bodies": memory,
    }
    keep(figures, options, ("flask", "gunicorn", "sqlalchemy"))


if __name__ == "__main__":
    main()
