"""T14 (G19): delayed jobs run not early and hardly late, once each, over restarts and steps of the clock."""

from __future__ import annotations

import time

import pytest

from tests.reliability.clock import Clock
from tests.reliability.processes import Running
from tests.reliability.stand import Stand

LATE = 2.0
"""Seconds by which a job may be late when the workers are idle."""
HOUR = 3600
STEPS = 5
"""How many, one after another, while the long jobs run."""
QUICKER = 3
"""Makes the lease 5 s."""

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("jobs", [1_000])
def test_delayed_jobs_run_on_time_and_once_over_a_restart(stand: Stand, jobs: int) -> None:
    stand.hurry(QUICKER)
    with stand.workers():
        asked = fire_delayed(stand, jobs, within=120)
        begun_at = time.monotonic()
        stand.witnessed(lambda _: time.monotonic() > begun_at + 30, "time stands still", 60)
        restarting_at = time.monotonic()
    with stand.workers():
        restarted_at = time.monotonic()
        stand.drain(300)

    verdict, begun = stand.judge(), stand.witness.first_begun()
    late = {id: begun[id] - due for id, due in asked.items()}
    idle = sorted(by for id, by in late.items() if not restarting_at - 1 < asked[id] < restarted_at)
    p99 = idle[int(len(idle) * 0.99)]
    stand.tell(verdict, f"earliest {min(late.values()):+.3f} s, p99 {p99:.3f} s late while workers ran")
    verdict.refuse_faults()
    assert verdict.duplicates == 0
    assert min(late.values()) >= 0
    assert p99 <= LATE


@pytest.mark.parametrize("step", [HOUR, -HOUR], ids=["an hour on", "an hour back"])
def test_a_step_of_the_workers_clock_loses_no_job_and_runs_none_twice(stand: Stand, step: int) -> None:
    stand.hurry(QUICKER)
    clock = Clock(stand.folder)
    asked = fire_delayed(stand, 100, within=30)
    long = [stand.fire("sleep", f"long-{number}", seconds=stand.lease * 3) for number in range(4)]

    with stand.workers(environment=clock.environment) as workers:
        stand.witnessed(lambda seen: {note.id for note in seen.begun} >= set(long), "the jobs did not begin")
        for steps in range(1, STEPS + 1):
            clock.step(steps * step)
            time.sleep(stand.lease / 2)
        stand.witnessed(lambda seen: len(seen.said("ended")) == len(long), "the jobs did not end")
        clock.step(0)
        stand.drain(120)
        assert restarts_of(workers) == 0

    verdict, begun = stand.judge(), stand.witness.first_begun()
    early = [id for id, due in asked.items() if begun[id] < due]
    stand.tell(verdict, f"{len(early)} of {len(asked)} ran before they were due by a clock that took no step")
    verdict.refuse_faults()
    assert verdict.duplicates == 0
    if stand.kind == "postgresql":
        assert not early


def fire_delayed(stand: Stand, jobs: int, within: float) -> dict[str, float]:
    """Fire jobs that are due in 1 to *within* seconds; return by id when, by the monotonic clock, at the earliest."""
    asked = {}
    for number in range(jobs):
        delay = stand.chance.uniform(1, within)
        asked[f"delayed-{number}"] = time.monotonic() + delay
        stand.fire("ok", f"delayed-{number}", delay=delay)
    return asked


def restarts_of(workers: Running) -> int:
    return workers.output.read_text().count("Worker (pid:")
