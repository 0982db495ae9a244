"""T18 (G27): a long backlog fills no memory, neither of who writes it nor of who works it off."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.reliability.processes import Running
from tests.reliability.processes import memory_of
from tests.reliability.processes import wait_for
from tests.reliability.rows import PENDING
from tests.reliability.rows import fill
from tests.reliability.stand import Stand

MOST = 5.0
"""MiB by which a process may grow once it is warm."""

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("backlog", [100_000])
def test_the_memory_of_workers_does_not_grow_with_the_backlog(stand: Stand, backlog: int) -> None:
    fill(stand, backlog, "x-", PENDING)

    with stand.workers() as workers:
        grown = growth_of(stand, workers, lambda: stand.tables.states()["done"], backlog)
        stand.drain(600)

    verdict = stand.judge()
    stand.tell(verdict, f"workers grew by {grown} MiB from the first tenth of {backlog} deliveries to the last")
    verdict.refuse_faults()
    assert verdict.duplicates == 0
    assert max(grown) < MOST


@pytest.mark.parametrize("requests", [1_500])
def test_the_memory_of_web_workers_does_not_grow_with_the_backlog(stand: Stand, requests: int) -> None:
    with stand.web("--worker-class=gthread", "--threads=4") as (web, port):
        with stand.load(port, "/orders/ok/{id}", "/events/ok/{id}", requests=requests) as loader:
            grown = growth_of(stand, web, lambda: len(stand.ledger.acked), 16 * requests)
            loader.process.wait(600)
        with stand.workers():
            stand.drain(600)

    verdict = stand.judge()
    stand.tell(verdict, f"web workers grew by {grown} MiB from the first tenth of the requests to the last")
    verdict.refuse_faults()
    assert verdict.accepted == 16 * requests
    assert max(grown) < MOST


def growth_of(stand: Stand, parent: Running, done: Callable[[], int], whole: int) -> list[float]:
    """Return by how many MiB each child grows between a tenth and nine tenths of the work."""
    sizes = []
    for part in (whole // 10, whole * 9 // 10):
        wait_until(done, part)
        sizes.append([memory_of(pid) for pid in parent.children()])
    return [round(late - early, 1) for early, late in zip(*sizes, strict=True)]


def wait_until(done: Callable[[], int], part: int) -> None:
    wait_for(lambda: done() >= part, f"{part} were not done", 900)
