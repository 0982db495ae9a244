"""T10 (G25): on SQLite, another process's lock delays requests; one that lasts too long gives 503, never 500."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from contextlib import contextmanager

import pytest
from sqlalchemy import make_url

from tests.reliability.stand import Stand

PATHS = ("/orders/ok/{id}", "/events/ok/{id}")
BEARABLE = 5.0
"""Seconds for which a lock delays and nothing more."""

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"])


@contextmanager
def locked(stand: Stand, seconds: float) -> Iterator[None]:
    """Hold the database with BEGIN EXCLUSIVE for *seconds* of the block."""
    path = str(make_url(stand.url).database)
    with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        try:
            time.sleep(seconds)
        finally:
            connection.execute("ROLLBACK")
    yield


@pytest.mark.parametrize("long", [13.0, pytest.param(15.0, marks=pytest.mark.slow)], ids=lambda long: f"{long:.0f} s")
def test_a_short_lock_delays_requests_and_a_long_one_gives_503(stand: Stand, long: float) -> None:
    with stand.web("--worker-class=gthread", "--threads=4") as (_, port), stand.workers() as workers:
        with stand.load(port, *PATHS, seconds=BEARABLE + 2):
            stand.witnessed(lambda seen: seen.begun, "no job was run")
            before = workers.children()
            with locked(stand, BEARABLE):
                pass
        short = Counter(stand.ledger.status.values())
        with stand.load(port, *PATHS, "/events/ok/{id}", "/events/ok/{id}", seconds=long + 2):
            time.sleep(0.5)
            with locked(stand, long):
                pass
        both = Counter(stand.ledger.status.values())
        stand.drain()
        after = workers.children()

    verdict = stand.judge()
    stand.tell(verdict, f"{BEARABLE:.0f} s: {short}", f"then {long:.0f} s: {both - short}")
    verdict.refuse_faults()
    assert set(short) == {201}
    assert set(both - short) == {201, 503}
    assert verdict.duplicates == 0
    assert before == after


@pytest.mark.parametrize("requests", [15, pytest.param(250, marks=pytest.mark.slow)])
def test_processes_that_fire_all_at_once_wait_for_one_another(stand: Stand, requests: int) -> None:
    with stand.web("--workers=4") as (_, port), stand.workers():
        with stand.load(port, *PATHS, requests=requests):
            pass
        stand.drain()

    verdict = stand.judge()
    stand.tell(verdict, Counter(stand.ledger.status.values()))
    verdict.refuse_faults()
    assert verdict.accepted == verdict.attempted == 16 * requests
    assert verdict.duplicates == 0
