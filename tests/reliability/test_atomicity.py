"""T3 (G10): an event that is fired in a transaction runs when that is committed, and only then."""

from __future__ import annotations

import pytest

from tests.reliability.stand import Stand

COMMITTED = "/orders/tx/{id}"
ROLLED_BACK = "/orders/tx/{id}?end=rollback"
KILLED = tuple(f"/orders/tx/{{id}}?end=killed+{when}" for when in ("before", "at", "after"))


@pytest.mark.parametrize("seconds", [6, pytest.param(60, marks=pytest.mark.slow)])
def test_an_event_is_run_exactly_when_its_order_is_committed(stand: Stand, seconds: float) -> None:
    thirds = (*3 * (COMMITTED,), *3 * (ROLLED_BACK,), *KILLED)

    with stand.web("--preload", "--workers=6") as (_, port), stand.workers():
        with stand.load(port, *thirds, seconds=seconds):
            pass
        stand.drain()

    verdict, orders, ran = stand.judge(), stand.tables.orders(), set(stand.witness.runs)
    killed = sum(status == 0 for status in stand.ledger.status.values())
    stand.tell(verdict, f"{len(orders)} orders; web workers killed between insert, fire, commit and answer: {killed}")
    verdict.refuse_faults()
    assert ran == orders
    assert not stand.witness.said("missing")
    assert verdict.duplicates == 0
    assert killed and verdict.recovered
