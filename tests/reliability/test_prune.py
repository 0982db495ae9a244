"""T17 (G26): a long history is pruned while events are fired, and the prune is killed; what is unfinished stays."""

from __future__ import annotations

import signal
import time

import pytest

from tests.reliability.loader import Ledger
from tests.reliability.processes import events_command
from tests.reliability.processes import running
from tests.reliability.processes import wait_for
from tests.reliability.rows import OLD
from tests.reliability.rows import fill
from tests.reliability.stand import Stand

MOST_SLOWER = 2.0
"""By what factor a prune may lengthen the slowest of 100 answers."""
PATHS = ("/orders/ok/{id}", "/events/ok/{id}")


@pytest.mark.slow
@pytest.mark.parametrize("rows", [100_000, 1_000_000])
def test_a_prune_that_is_killed_now_and_then_leaves_what_is_unfinished_and_slows_no_fire(
    stand: Stand, rows: int
) -> None:
    stand.fire("ok", "waiting", delay=3600)
    fill(stand, rows, "old-", OLD)

    with stand.web("--worker-class=gthread", "--threads=4") as (_, port):
        with stand.load(port, *PATHS, seconds=10):
            pass
        before, fired = p99_of(stand.ledger), set(stand.ledger.status)
        with stand.load(port, *PATHS, seconds=20) as loader:
            kills = 0
            while loader.process.poll() is None:
                kills += prune_and_kill(stand, seconds=stand.chance.uniform(0, 2))
        during = p99_of(stand.ledger, fired)
        left = stand.tables.rows("SELECT count(*) FROM condor_events WHERE id LIKE 'old-%'")[0][0]
        halves = unmatched(stand)
        with running(events_command("prune", "--yes"), stand.environment, stand.folder / "prune.log") as prune:
            assert prune.process.wait(900) == 0, prune.output.read_text()
        with stand.load(port, "/events/ok/old-1", connections=1, requests=1):
            pass

    states = stand.tables.states()
    old = {id for (id,) in stand.tables.rows("SELECT id FROM condor_events WHERE id LIKE 'old-%'")}
    stand.tell(
        f"{rows} old rows; {kills} kills in mid-prune, {left} events left by them; {halves} half-deleted",
        f"fire p99: {before * 1000:.0f} ms before, {during * 1000:.0f} ms during the prune",
        f"after: {dict(states)}",
    )
    assert kills and halves == 0
    assert old <= {"old-1", "old-first"}
    assert states["pending"] == len(stand.ledger.acked)
    assert during <= MOST_SLOWER * before


def prune_and_kill(stand: Stand, seconds: float) -> bool:
    """Start a prune, and kill it once it has deleted for a while; return False when it had ended by itself."""
    first = oldest(stand)
    with running(events_command("prune", "--yes"), stand.environment, stand.folder / "killed.log") as prune:
        wait_for(lambda: oldest(stand) != first or prune.process.poll() is not None, "the prune deleted nothing")
        time.sleep(seconds)
        was_running = prune.process.poll() is None
        prune.end(signal.SIGKILL)
    return was_running


def oldest(stand: Stand) -> list[tuple[int]]:
    """Return the number of the first delivery that has ended, if there is any left: what a prune deletes first."""
    return stand.tables.rows("SELECT id FROM condor_deliveries WHERE finished_at IS NOT NULL ORDER BY id LIMIT 1")


def unmatched(stand: Stand) -> int:
    """Count the deliveries without their event, and the old events without their delivery."""
    its_event = "SELECT 1 FROM condor_events AS e WHERE e.id = d.event_id"
    its_delivery = "SELECT 1 FROM condor_deliveries AS d WHERE d.event_id = e.id"
    orphans = f"SELECT count(*) FROM condor_deliveries AS d WHERE NOT EXISTS ({its_event})"
    bare = f"SELECT count(*) FROM condor_events AS e WHERE id LIKE 'old-%' AND NOT EXISTS ({its_delivery})"
    return sum(int(stand.tables.rows(query)[0][0]) for query in (orphans, bare))


def p99_of(ledger: Ledger, without: set[str] | None = None) -> float:
    """Return the seconds within which 99 of 100 answers came, for requests that are not in *without*."""
    seconds = sorted(took for id, took in ledger.seconds.items() if id not in (without or ()))
    return seconds[int(len(seconds) * 0.99)]
