"""T1 and T2 (G9, G16): under load, workers and web workers are killed at random; no accepted event is lost.

The children of a master that is killed are killed too, as a supervisor does: gunicorn's hold its port for another 15 s.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.databases import KINDS
from tests.reliability.processes import kill
from tests.reliability.stand import Stand

SYNC = "--worker-class=sync"
THREADS = "--worker-class=gthread --threads=4"
MIX = ("/orders/ok/{id}", "/orders/tx/{id}", "/orders/nest/{id}", "/events/ok/{id}", "/orders/sleep/{id}?seconds=0.1")


@dataclass(frozen=True)
class Dose:
    """How long the load lasts, how often something is killed, and how much of that has to count."""

    seconds: float
    every: float
    is_quick: bool = False
    accepted: int = 1
    hits: int = 1

    def __str__(self) -> str:
        return f"{self.seconds} s"


QUICK = Dose(seconds=6, every=1.0, is_quick=True)
MINUTE = Dose(seconds=60, every=1.0, hits=10)
NIGHT = Dose(seconds=600, every=1.0, accepted=100_000, hits=100)


def runs_of(*nights: tuple[str, str]) -> pytest.MarkDecorator:
    """Run a test briefly on both databases, each with another server; the slow runs have all four pairs."""
    pairs = [(kind, server) for kind in KINDS for server in (SYNC, THREADS)]
    quick = [(*pair, QUICK) for pair in (("sqlite", SYNC), ("postgresql", THREADS))]
    slow = [(*pair, MINUTE) for pair in pairs] + [(*pair, NIGHT) for pair in nights]
    cases = [*quick, *(pytest.param(*case, marks=pytest.mark.slow) for case in slow)]
    return pytest.mark.parametrize(("database_kind", "server", "dose"), cases, ids=str)


@runs_of(("sqlite", THREADS), ("postgresql", THREADS))
def test_no_accepted_event_is_lost_when_job_workers_are_killed(stand: Stand, dose: Dose, server: str) -> None:
    if dose.is_quick:
        stand.hurry()

    with stand.web(*server.split()) as (_, port), stand.workers() as workers:
        with stand.load(port, *MIX, seconds=dose.seconds) as loader:
            kills = stand.kill_busy(workers, loader, dose.every)
        stand.drain()
        verdict = stand.judge()

    stand.tell(verdict, kills, waits_of(stand))
    verdict.refuse_faults()
    assert verdict.duplicates <= sum(kills.in_hand)
    assert kills.hits >= dose.hits
    assert verdict.accepted >= dose.accepted


@runs_of()
def test_no_accepted_event_is_lost_when_web_workers_and_their_master_are_killed(
    stand: Stand, dose: Dose, server: str
) -> None:
    if dose.is_quick:
        stand.hurry()

    with stand.workers(), ExitStack() as servers:
        web, port = servers.enter_context(stand.web(*server.split()))
        with stand.load(port, *MIX, seconds=dose.seconds) as loader:
            killed = list(stand.kill_some(web.children, loader, dose.every, dose.seconds / 2))
            for pid in (web.pid, *web.children()):
                kill(pid)
            web, _ = servers.enter_context(stand.web(*server.split(), port=port))
        assert web.process.poll() is None, stand.output("web")
        stand.drain()
        verdict = stand.judge()

    stand.tell(verdict, f"{len(killed)} web workers killed, the master once")
    verdict.refuse_faults()
    assert verdict.duplicates == 0
    assert killed
    assert verdict.accepted >= dose.accepted


def waits_of(stand: Stand) -> str:
    """Tell how long the accepted events waited for their first run, from the answer on."""
    answered, begun = stand.ledger.answered_at, stand.witness.first_begun()
    waits = sorted(begun[id] - at for id, at in answered.items() if id in begun)
    p50, p99 = (max(0.0, waits[int(len(waits) * share)]) for share in (0.5, 0.99))
    return f"first run after the answer: p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms"
