"""T19 (G9 to G25): a soak. Under load, at random, processes are killed and loaded anew, and the database goes away.

SOAK_SECONDS sets how long, 300 by default; the night of GUARANTEES is 28800. Growth is what a line through the sizes of
the web and job processes has grown by for certain: the lower end of its slope's 95 % interval, over the whole time.
"""

from __future__ import annotations

import math
import os
import signal
import statistics
import time
import typing as t
from collections import Counter
from collections.abc import Callable
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.reliability.gate import Gate
from tests.reliability.processes import Running
from tests.reliability.processes import kill
from tests.reliability.processes import memory_of
from tests.reliability.stand import Stand
from tests.reliability.test_locks import locked

SECONDS = float(os.environ.get("SOAK_SECONDS", "300"))
WARM = 0.2
"""The share of the time after which sizes are compared."""
MOST = {"MiB": 5.0, "files": 2.0, "threads": 2.0}
"""By how much a process may grow for certain."""
MIX = ("/orders/ok/{id}", "/orders/tx/{id}", "/orders/nest/{id}", "/events/ok/{id}", "/events/ok/{id}?delay=10")

pytestmark = pytest.mark.slow


class Sample(t.NamedTuple):
    """The mean size of the web and job processes, at a time."""

    at: float
    sizes: dict[str, float]


def test_a_soak_loses_nothing_and_nothing_grows(stand: Stand, gate: Gate | None) -> None:
    samples: list[Sample] = []
    if gate is not None:
        gate.open()
    with stand.web("--worker-class=gthread", "--threads=4") as (web, port), stand.workers() as workers:
        with stand.load(port, *MIX, seconds=SECONDS, connections=4) as loader:
            faults = disturb(stand, gate, web, workers, loader, samples)
        stand.drain()

    verdict = stand.judge()
    grown = {kind: growth_of(samples, kind) for kind in MOST}
    statuses = Counter(stand.ledger.status.values())
    stand.tell(verdict, f"{SECONDS:.0f} s: {dict(faults)}", f"answers: {dict(statuses)}", f"grown for certain: {grown}")
    verdict.refuse_faults()
    assert set(statuses) <= {0, 201, 503}
    assert len(faults) == 4
    assert all(grown[kind] < most for kind, most in MOST.items()), grown


def disturb(
    stand: Stand, gate: Gate | None, web: Running, workers: Running, loader: Running, samples: list[Sample]
) -> Counter[str]:
    """Do something bad every few seconds, each in its turn, and measure every second, as long as the loader runs."""
    faults: dict[str, Callable[[], object]] = {
        "a web worker killed": lambda: kill_one(stand, web),
        "a job worker killed": lambda: kill_one(stand, workers),
        "the workers loaded anew": lambda: workers.send(signal.SIGHUP),
        "the database away": lambda: take_away(stand, gate),
    }
    done: Counter[str] = Counter()
    next_ones: list[str] = []
    began = time.monotonic()
    while loader.process.poll() is None:
        for _ in range(stand.chance.randint(3, 15)):
            samples.append(Sample(time.monotonic() - began, sizes_of([*web.children(), *workers.children()])))
            time.sleep(1)
        next_ones = next_ones or stand.chance.sample(list(faults), len(faults))
        fault = next_ones.pop()
        faults[fault]()
        done[fault] += 1
    return done


def kill_one(stand: Stand, parent: Running) -> None:
    if pids := parent.children():
        kill(stand.chance.choice(pids))


def take_away(stand: Stand, gate: Gate | None) -> None:
    """Lock the SQLite file, or shut the way to the server, for a while."""
    seconds = stand.chance.uniform(0, 3)
    if gate is None:
        with locked(stand, seconds):
            return
    gate.shut()
    time.sleep(seconds)
    gate.open()


def sizes_of(pids: Sequence[int]) -> dict[str, float]:
    """Return the mean sizes of those of the processes that are alive; connections are among the files."""
    sizes: dict[str, list[float]] = {"MiB": [], "files": [], "threads": []}
    for pid in pids:
        try:
            now = memory_of(pid), count(pid, "fd"), count(pid, "task")
        except (FileNotFoundError, ProcessLookupError, IndexError):
            continue
        for kind, size in zip(sizes, now, strict=True):
            sizes[kind].append(size)
    return {kind: statistics.fmean(found or [0.0]) for kind, found in sizes.items()}


def count(pid: int, folder: str) -> int:
    return len(list(Path(f"/proc/{pid}/{folder}").iterdir()))


def growth_of(samples: Sequence[Sample], kind: str) -> float:
    """Return by how much a process has grown for certain since it was warm; below 0 when it may have shrunk."""
    warm = [sample for sample in samples if sample.at > WARM * samples[-1].at and sample.sizes[kind]]
    times, sizes = [sample.at for sample in warm], [sample.sizes[kind] for sample in warm]
    slope, start = statistics.linear_regression(times, sizes)
    rest = sum((size - start - slope * at) ** 2 for at, size in zip(times, sizes, strict=True))
    spread = sum((at - statistics.fmean(times)) ** 2 for at in times)
    error = math.sqrt(rest / (len(warm) - 2) / spread)
    return round((slope - 1.96 * error) * (times[-1] - times[0]), 2)
