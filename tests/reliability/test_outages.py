"""T5, its second part, and G23: processes that start while the database is down, or lose it, resume by themselves."""

from __future__ import annotations

import http.client
import time
from collections import Counter

import pytest

from tests.reliability.gate import Gate
from tests.reliability.processes import wait_for
from tests.reliability.stand import Stand

BACK_WITHIN = 10.0
"""Seconds after the return of the database within which everything works again."""

pytestmark = pytest.mark.parametrize("database_kind", ["postgresql"])


def post(port: int, path: str) -> tuple[int, str | None]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", path)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status, response.getheader("Retry-After")


def test_web_and_workers_that_start_without_the_database_resume_when_it_comes(stand: Stand, gate: Gate) -> None:
    with stand.web() as (web, port), stand.workers(wait=False) as workers:
        refused = [post(port, f"/{kind}/ok/refused-{kind}") for kind in ("orders", "events")]
        wait_for(lambda: "keeps trying" in workers.output.read_text(), "the workers did not start")
        before = web.children(), workers.children()
        gate.open()
        opened_at = time.monotonic()
        accepted = wait_for(lambda: post(port, f"/orders/ok/x-{time.time_ns()}")[0] == 201, "no event was accepted")
        begun = stand.witnessed(lambda seen: seen.begun, "no job was run").begun[0]
        after = web.children(), workers.children()

    stand.tell(f"working again {begun.time - opened_at:.1f} s after the database came")
    assert refused == [(503, "1"), (503, "1")]
    assert accepted and begun.id.startswith("x-")
    assert begun.time - opened_at <= BACK_WITHIN
    assert before == after


def test_no_accepted_event_is_lost_when_the_database_goes_away_under_load(stand: Stand, gate: Gate) -> None:
    gate.open()

    with stand.web("--worker-class=gthread", "--threads=4") as (web, port), stand.workers() as workers:
        with stand.load(port, "/orders/ok/{id}", "/events/ok/{id}", seconds=6):
            stand.witnessed(lambda seen: seen.begun, "no job was run")
            before = web.children(), workers.children()
            for _ in range(3):
                time.sleep(0.5)
                gate.shut()
                time.sleep(1.0)
                gate.open()
            back_at = time.monotonic()
            id = stand.fire("ok", "after")
            begun = stand.witnessed(lambda seen: seen.begun_of(id), "the workers did not resume").begun_of(id)[0]
        stand.drain()
        after = web.children(), workers.children()

    verdict = stand.judge()
    stand.tell(verdict, Counter(stand.ledger.status.values()))
    verdict.refuse_faults()
    assert set(stand.ledger.status.values()) == {201, 503}
    assert begun.time - back_at <= BACK_WITHIN
    assert before == after
