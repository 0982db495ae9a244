"""T8 (G14, G15): a worker that is stopped in mid-job loses the job to another, and cannot finish it any more."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.reliability.stand import Stand

MARGIN = 5.0
"""Seconds beyond the lease and the sweep within which a lost job is started again."""


@pytest.mark.parametrize("is_quick", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["quick", "full"])
def test_a_stopped_worker_loses_its_job_and_its_late_finish_is_refused(stand: Stand, is_quick: bool) -> None:
    if is_quick:
        stand.hurry()
    stand.fire("sleep", "x", seconds=stand.lease / 2)

    with stand.workers("--processes=2", "--threads=1", "--timeout=120"):
        first = stand.witnessed(lambda seen: seen.begun, "the job did not begin").begun[0]
        os.kill(first.pid, signal.SIGSTOP)
        stopped_at = time.monotonic()
        second = stand.witnessed(lambda seen: len(seen.begun) > 1, "the job did not begin again").begun[1]
        os.kill(first.pid, signal.SIGCONT)
        late = states_between_the_ends(stand)
        stand.drain()
        time.sleep(stand.sweep)

    delivery, waited = stand.tables.delivery("x"), second.time - stopped_at
    stand.tell(f"started again after {waited:.1f} s; after the late finish: {late}; at the end: {delivery}")
    assert waited <= stand.lease + stand.sweep + MARGIN
    assert (second.attempt, second.pid == first.pid) == (2, False)
    assert [note.pid for note in stand.witness.said("ended")] == [first.pid, second.pid]
    assert late == {("running", 2)}
    assert (delivery.state, delivery.attempt, delivery.result) == ("done", 2, "2")
    assert len(stand.witness.begun) == 2
    assert "this outcome (done) is not written" in stand.output("workers")


def states_between_the_ends(stand: Stand) -> set[tuple[str, int]]:
    """Watch the delivery from the end of the stopped worker's run on, until that of the other ends."""
    stand.witnessed(lambda seen: seen.said("ended"), "the stopped worker's job did not end")
    states: set[tuple[str, int]] = set()
    while True:
        delivery = stand.tables.delivery("x")
        if len(stand.witness.said("ended")) > 1:
            return states
        states.add((delivery.state, delivery.attempt))
        time.sleep(0.05)
