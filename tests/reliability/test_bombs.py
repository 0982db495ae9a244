"""T24 (G7): events that fire one another over the queue are stopped at the limits, across processes and kills."""

from __future__ import annotations

import json
import time

import pytest

from tests.reliability.processes import kill
from tests.reliability.stand import Stand

DEPTH, DESCENDANTS = 32, 10_000


def test_a_queued_chain_ends_at_the_limit_of_its_depth_and_names_it(stand: Stand) -> None:
    stand.fire("again", "root", times=1)

    with stand.workers():
        stand.drain()

    deepest, dead = told_of(stand)
    stand.tell(f"{len(stand.witness.begun)} runs, the deepest event after {deepest} others; {len(dead)} dead")
    assert len(stand.witness.begun) == deepest + 1 == DEPTH
    assert len(dead) == 1
    assert "EventLoop" in dead[0] and "again -> again" in dead[0]


@pytest.mark.slow
@pytest.mark.parametrize("times", [2, 10])
def test_a_queued_bomb_ends_at_the_limit_of_its_descendants_though_workers_are_killed(stand: Stand, times: int) -> None:
    stand.hurry()
    stand.fire("again", "root", times=times)

    with stand.workers() as workers:
        while stand.tables.count_left():
            time.sleep(1)
            if pids := workers.children():
                kill(stand.chance.choice(pids))
        stand.drain()

    deepest, dead = told_of(stand)
    descendants = stand.tables.rows("SELECT count(*) FROM condor_events")[0][0] - 1
    stand.tell(f"{descendants} descendants, the deepest after {deepest} others; {len(dead)} dead")
    assert descendants <= DESCENDANTS
    assert deepest < DEPTH
    assert dead and all("EventLoop" in error or "was lost" in error for error in dead)
    assert not any("RecursionError" in error for error in dead)
    assert stand.tables.count_left() == 0


def told_of(stand: Stand) -> tuple[int, list[str]]:
    """Return how many events led to the deepest one, and the errors of the dead deliveries."""
    paths = [len(json.loads(path)) for (path,) in stand.tables.rows("SELECT path FROM condor_events")]
    errors = stand.tables.rows("SELECT error FROM condor_deliveries WHERE state = 'dead'")
    return max(paths), [error for (error,) in errors]
