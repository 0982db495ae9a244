"""T9 (G23): PostgreSQL is stopped again and again, without a goodbye; nothing is lost, all goes on by itself.

Each test has a server of its own. What a process consumes tells that it is not idle: a web worker answers with 201, a
worker begins a job. It has to within ten seconds of each return of the server that is followed by as many of calm.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from tests.reliability.cluster import Cluster
from tests.reliability.cluster import own_cluster
from tests.reliability.processes import Running
from tests.reliability.stand import SEED
from tests.reliability.stand import Stand

BACK_WITHIN = 10.0
"""Seconds after the return of the server within which every process consumes again."""
SYNC = "--worker-class=sync"
THREADS = "--worker-class=gthread --threads=4"
MIX = ("/orders/ok/{id}", "/orders/tx/{id}", "/orders/nest/{id}", "/events/ok/{id}", "/orders/sleep/{id}?seconds=0.1")

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Outage:
    """From when the server was to stop until it let clients in again, by the monotonic clock."""

    began: float
    ended: float


@dataclass(frozen=True)
class Dose:
    """How long the load lasts, after how many seconds of calm the server stops, and for how many it stays down."""

    seconds: float
    calm: tuple[float, float]
    down: tuple[float, float] = (0, 2)
    most: int = 10**9
    """How many outages there are at most."""

    def __str__(self) -> str:
        return f"{self.seconds:.0f} s"

    def outages(self, cluster: Cluster, loader: Running, chance: Random) -> Iterator[Outage]:
        """Stop and start the server for as long as the load lasts and leaves it time to recover."""
        until = time.monotonic() + self.seconds - BACK_WITHIN - 5
        for _ in range(self.most):
            time.sleep(chance.uniform(*self.calm))
            if loader.process.poll() is not None or time.monotonic() > until:
                return
            began = time.monotonic()
            cluster.stop()
            time.sleep(chance.uniform(*self.down))
            cluster.start()
            yield Outage(began, time.monotonic())


OFTEN = (Dose(seconds=60, calm=(11, 14)), Dose(seconds=600, calm=(5, 40)))
LONG = (Dose(seconds=30, calm=(3, 3), down=(10, 10), most=1), Dose(seconds=90, calm=(5, 5), down=(60, 60), most=1))


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with own_cluster() as cluster:
        yield cluster


@pytest.fixture
def stand(cluster: Cluster, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """The product as it is, on that server."""
    stand = Stand(tmp_path, cluster.url, SEED, tmp_path_factory.getbasetemp())
    stand.make_tables()
    try:
        yield stand
    finally:
        stand.close()


@pytest.mark.parametrize("server", [SYNC, THREADS], ids=["sync", "threads"])
@pytest.mark.parametrize("dose", OFTEN, ids=str)
def test_no_accepted_event_is_lost_when_postgresql_stops_now_and_then(
    stand: Stand, cluster: Cluster, dose: Dose, server: str
) -> None:
    refuse_loss_and_idleness(stand, cluster, dose, server)


@pytest.mark.parametrize("dose", LONG, ids=str)
def test_no_accepted_event_is_lost_when_postgresql_is_down_for_a_minute(
    stand: Stand, cluster: Cluster, dose: Dose
) -> None:
    outage, *_ = refuse_loss_and_idleness(stand, cluster, dose, THREADS)
    ledger = stand.ledger
    asked_at = {id: at - ledger.seconds[id] for id, at in ledger.answered_at.items()}
    inside = [id for id, at in asked_at.items() if outage.began + 1 < at and ledger.answered_at[id] < outage.ended - 1]

    assert {ledger.status[id] for id in inside} == {503}


def refuse_loss_and_idleness(stand: Stand, cluster: Cluster, dose: Dose, server: str) -> list[Outage]:
    """Load the shop while its server stops and comes again; fail at each fault that T9 names."""
    with stand.web(*server.split()) as (web, port), stand.workers() as workers:
        with stand.load(port, *MIX, seconds=dose.seconds) as loader:
            stand.witnessed(lambda seen: len({note.pid for note in seen.begun}) == 2, "not all processes ran jobs")
            before = web.children(), workers.children()
            outages = list(dose.outages(cluster, loader, stand.chance))
        stand.drain()
        after = web.children(), workers.children()

    verdict, statuses = stand.judge(), Counter(stand.ledger.status.values())
    unsuccessful = Counter(outcome for (outcome,) in stand.tables.rows("SELECT outcome FROM condor_attempts"))
    false = stand.ledger.acked - {id for (id,) in stand.tables.rows("SELECT id FROM condor_events")}
    resumed = [
        seconds for pid in (*before[0], *before[1]) for seconds in resumed_after(consumed_by(stand, pid), outages)
    ]
    idle = [seconds for seconds in resumed if seconds > BACK_WITHIN]
    stand.tell(
        verdict,
        f"{len(outages)} outages; answers {dict(statuses)}; false 2xx {len(false)}",
        f"attempts that did not succeed: {dict(unsuccessful)}",
        f"of {len(resumed)} returns of a process, {len(idle)} after more than {BACK_WITHIN:.0f} s;"
        f" the slowest after {max(resumed):.1f} s, the median {sorted(resumed)[len(resumed) // 2]:.1f} s",
    )
    verdict.refuse_faults()
    assert not false
    assert set(statuses) == {201, 503}
    assert not idle
    assert before == after
    return outages


def consumed_by(stand: Stand, pid: int) -> list[float]:
    """Return when a process accepted an event, or began a job."""
    ledger = stand.ledger
    accepted = [ledger.answered_at[id] for id in ledger.acked if ledger.answered_by.get(id) == pid]
    return sorted(accepted + [note.time for note in stand.witness.begun if note.pid == pid])


def resumed_after(times: list[float], outages: list[Outage]) -> list[float]:
    """Return how many seconds after each return of the server a process consumed, where the next stop left it time."""
    stops = [*(outage.began for outage in outages[1:]), float("inf")]
    calm = [outage.ended for outage, stop in zip(outages, stops, strict=True) if stop - outage.ended > BACK_WITHIN]
    return [next((at - ended for at in times if at > ended), float("inf")) for ended in calm]
