"""T7 (G12): every committed row is found, though ids are given in another order than the commits come in."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask_condor import Event
from sqlalchemy import insert

from tests.reliability.shop import Order
from tests.reliability.shop import db
from tests.reliability.stand import Stand

WRITERS = 50


@pytest.mark.parametrize("database_kind", ["postgresql"])
@pytest.mark.parametrize("rows", [1_500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_no_row_is_skipped_whatever_the_order_of_the_commits(stand: Stand, rows: int) -> None:
    with stand.workers():
        with ThreadPoolExecutor(WRITERS) as writers:
            shares = list(writers.map(lambda number: write(stand, number, rows // WRITERS), range(WRITERS)))
        stand.drain()

    committed = {id for share in shares for id in share}
    ran = stand.witness.runs
    stand.tell(f"n={len(committed)} rows by {WRITERS} writers, {len(committed - set(ran))} never run")
    assert set(ran) == committed
    assert set(ran.values()) == {1}


def write(stand: Stand, number: int, rows: int) -> list[str]:
    """Write rows one after another, each in a transaction held open for up to half a second; return their ids."""
    chance = random.Random(f"{stand.seed} {number}")
    ids = [f"{number}-{row}" for row in range(rows)]
    for id in ids:
        with stand.app.app_context():
            db.session.execute(insert(Order).values(id=id, shipped=0))
            stand.app.extensions["condor"].fire(Event("ok", {}, id))
            time.sleep(chance.uniform(0, 0.5))
            db.session.commit()
    return ids
