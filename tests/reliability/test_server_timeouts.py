"""T26 (G6): gunicorn ends a web worker in mid-job; what ran there is not done, and the durable jobs still run."""

from __future__ import annotations

import signal
import time

import pytest

from tests.reliability.stand import Stand

PATH = "/events/both/{id}?seconds=20"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("server", "quit"),
    [("sync", False), ("sync", True), ("gthread", True)],
    ids=["sync, timeout", "sync, QUIT", "gthread, QUIT"],
)
def test_a_job_cut_short_by_gunicorn_is_not_done_and_the_queued_one_runs(stand: Stand, server: str, quit: bool) -> None:
    options = (f"--worker-class={server}", "--timeout=3", "--graceful-timeout=1", "--workers=1")

    with stand.workers(), stand.web(*options) as (web, port):
        with stand.load(port, PATH, connections=1, requests=1):
            stand.witnessed(lambda seen: seen.begun, "the job did not begin")
            if quit:
                web.send(signal.SIGQUIT)
        stand.witnessed(lambda seen: any(note.attempt for note in seen.begun), "the queued job did not run")
        stand.drain()

    states = dict(tuple(row) for row in stand.tables.rows("SELECT run, state FROM condor_deliveries"))
    stand.tell(f"states: {states}")
    assert not stand.ledger.acked
    assert not stand.witness.said("ended")
    assert states["queued"] == "done"
    assert states.get("now") != "done"


@pytest.mark.slow
def test_a_job_in_a_thread_of_gunicorn_is_not_cut_short_by_its_timeout(stand: Stand) -> None:
    options = ("--worker-class=gthread", "--threads=2", "--timeout=3", "--workers=1")

    with stand.workers(), stand.web(*options) as (_, port):
        with stand.load(port, PATH.replace("20", "8"), connections=1, requests=1):
            pass
        stand.drain()
        time.sleep(1)

    assert len(stand.ledger.acked) == 1
    assert len(stand.witness.said("ended")) == 1
