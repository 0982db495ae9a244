"""T15 (G21): a worker that is told to end lets its jobs finish, and gives the rest back at once."""

from __future__ import annotations

import signal
import time

import pytest

from tests.reliability.processes import Running
from tests.reliability.processes import wait_for
from tests.reliability.stand import Stand

MARGIN = 2.0
"""Seconds after a worker's end within which the jobs that it gave back run elsewhere."""


@pytest.mark.parametrize("grace", [2, pytest.param(5, marks=pytest.mark.slow)])
def test_jobs_that_outlast_the_grace_run_elsewhere_at_once_and_the_others_finish(stand: Stand, grace: int) -> None:
    options = ("--processes=1", "--threads=4", f"--graceful-timeout={grace}")
    short = [stand.fire("sleep", f"short-{seconds}", seconds=seconds) for seconds in (0.1, grace * 0.5)]
    long = [stand.fire("sleep", f"long-{number}", seconds=60) for number in range(2)]

    with stand.workers(*options) as ending:
        stand.witnessed(lambda seen: len(seen.begun) == 4, "the jobs did not begin")
        with stand.workers(*options) as other:
            ending.send(signal.SIGTERM)
            ending.process.wait(30)
            ended_at = time.monotonic()
            seen = stand.witnessed(lambda seen: len(seen.begun) == 6, "the jobs did not run elsewhere")
            other.end(signal.SIGKILL)

    again = [seen.begun_of(id)[1] for id in long]
    waits = [note.time - ended_at for note in again]
    stand.tell(f"{len(again)} jobs interrupted; they ran elsewhere {max(waits):.2f} s after the end at the latest")
    assert {note.id for note in seen.said("ended")} == set(short)
    assert all(seen.runs[id] == 1 and stand.tables.delivery(id).state == "done" for id in short)
    assert [note.attempt for note in again] == [2, 2]
    assert max(waits) <= MARGIN


def test_hup_replaces_the_workers_and_usr2_is_refused_and_no_job_is_run_twice(stand: Stand) -> None:
    ids = [stand.fire("sleep", f"job-{number}", seconds=1.5) for number in range(6)]

    with stand.workers("--processes=2", "--threads=2") as workers:
        stand.witnessed(lambda seen: len(seen.begun) == 4, "the jobs did not begin")
        before = workers.children()
        workers.send(signal.SIGUSR2)
        workers.send(signal.SIGHUP)
        wait_for(lambda: len(are_new(workers, before)) == 2, "the workers were not replaced")
        stand.drain()
        stand.fire("ok", "after")
        stand.drain()

    verdict = stand.judge()
    stand.tell(verdict)
    assert stand.witness.runs == dict.fromkeys([*ids, "after"], 1)
    assert {note.id for note in stand.witness.said("ended")} == set(ids)
    verdict.refuse_faults()


def test_no_accepted_event_is_lost_when_gunicorn_is_reloaded_upgraded_and_ended(stand: Stand) -> None:
    with stand.workers(), stand.web("--worker-class=gthread", "--threads=4") as (web, port):
        with stand.load(port, "/orders/ok/{id}", "/events/ok/{id}", seconds=6):
            stand.witnessed(lambda seen: seen.begun, "no job was run")
            web.send(signal.SIGHUP)
            time.sleep(1.5)
            before = web.children()
            web.send(signal.SIGUSR2)
            wait_for(lambda: are_new(web, before), "there is no second master")
            time.sleep(1.5)
            web.send(signal.SIGTERM)
        stand.drain()

    verdict = stand.judge()
    stand.tell(verdict)
    verdict.refuse_faults()
    assert verdict.accepted
    assert verdict.duplicates == 0


def are_new(parent: Running, before: list[int]) -> list[int]:
    return [pid for pid in parent.children() if pid not in before]
