"""T11 (G6, G17, G18, G20): jobs that do what jobs must not end done or dead, and leave the others their pace.

Those that end done are fired when no other is left that kills its process, and would have them run again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

import pytest

from tests.reliability.bad_jobs import DONE
from tests.reliability.bad_jobs import KINDS
from tests.reliability.rows import PENDING
from tests.reliability.rows import fill
from tests.reliability.stand import Stand

BACKLOG = 60_000
PACE = 0.5
"""The share of their pace that other jobs keep."""


@pytest.mark.slow
def test_every_kind_of_bad_job_ends_and_others_keep_half_their_pace(stand: Stand) -> None:
    stand.hurry()
    fill(stand, BACKLOG, "ok-", PENDING)

    with stand.workers():
        stand.witnessed(lambda seen: len(seen.begun) > 1000, "no job was run")
        base = pace_of(stand, 5)
        fire_bad(stand, [kind for kind in KINDS if kind not in DONE])
        during = pace_of(stand, 10)
        stand.drain(600)
        fire_bad(stand, DONE)
        stand.drain()

    verdict, runs = stand.judge(), stand.witness.runs
    ends = {kind: stand.tables.delivery(kind.replace(" ", "-")) for kind in KINDS}
    stand.tell(
        verdict,
        f"other jobs: {base:.0f}/s before, {during:.0f}/s beside the bad ones",
        *(f"{kind}: {end.state} after {end.attempt} starts" for kind, end in ends.items()),
    )
    assert {kind for kind, end in ends.items() if end.state == "done"} == DONE
    assert {kind for kind, end in ends.items() if end.state == "dead"} == set(KINDS) - DONE
    assert not verdict.lost and not verdict.damage and not verdict.unfinished
    assert all(runs[kind.replace(" ", "-")] == 1 for kind in DONE)
    assert during >= PACE * base


def fire_bad(stand: Stand, kinds: Iterable[str]) -> None:
    for kind in kinds:
        stand.fire("bad", kind.replace(" ", "-"), kind=kind)


def pace_of(stand: Stand, seconds: float) -> float:
    """Return how many deliveries of `ok` per second come to their end, in *seconds* or until none is left."""
    before, at = count_done(stand), time.monotonic()
    done = before
    while time.monotonic() < at + seconds and done < BACKLOG:
        time.sleep(0.1)
        done = count_done(stand)
    return (done - before) / (time.monotonic() - at)


def count_done(stand: Stand) -> int:
    query = "SELECT count(*) FROM condor_deliveries WHERE state = 'done' AND event_id LIKE 'ok-%'"
    return int(stand.tables.rows(query)[0][0])
