"""T16 (G22): an old and a new release at work on one queue; what a worker does not know waits for one that does.

Strange to a worker are an event, the new name of a job, that of an event, and a payload of another type. It leaves each
as it was, tells of it, and goes on with what it knows.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest

from tests.reliability.processes import ROOT
from tests.reliability.processes import Running
from tests.reliability.processes import events_command
from tests.reliability.processes import processor_seconds
from tests.reliability.processes import wait_for
from tests.reliability.releases import RELEASE
from tests.reliability.releases import Pair
from tests.reliability.releases import Strange
from tests.reliability.releases import linger_in_old
from tests.reliability.releases import path_of
from tests.reliability.releases import strange_of
from tests.reliability.stand import Stand

IDLE = 0.25
"""The share of a processor that a worker stays below that has nothing to run: one that spins takes all it gets."""
MOST_SHOWN = 500
"""Of how many deliveries the doctor looks for those that no job runs; the check looks at all."""
WAITING = """
SELECT deliveries.id, name, job, attempt, payload FROM condor_deliveries AS deliveries
JOIN condor_events AS events ON events.id = event_id WHERE state = 'pending' ORDER BY deliveries.id
"""
TOLD = re.compile(r"\[(\d+)\] \[WARNING\] job (\S+) (?:is not registered for|of) event (\S+) (?:here|waits)")
SHOWN = re.compile(r"([\d,]+)\+? (?:stored deliveries )?of event '([^']+)' wait for job ([\w.:]+)")
OLD, NEW = {RELEASE: "old"}, {RELEASE: "new"}

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Dose:
    """How many of each kind are fired, by 16 connections, and for how many seconds is watched what becomes of them."""

    requests: int
    watched: float

    @property
    def each(self) -> int:
        return 16 * self.requests

    def __str__(self) -> str:
        return f"{self.each} of each"


FEW, MANY = Dose(1, 12), Dose(60, 130)


@pytest.mark.parametrize("dose", [FEW, MANY], ids=str)
@pytest.mark.parametrize(("fired_by", "met_by"), [(NEW, OLD), (OLD, NEW)], ids=["new to an old worker", "old to a new"])
def test_what_a_worker_does_not_know_waits_as_it_was_for_one_that_does(
    stand: Stand, fired_by: dict[str, str], met_by: dict[str, str], dose: Dose
) -> None:
    strangers = strange_of(fired_by[RELEASE])
    expected = dict.fromkeys((one.pair for one in strangers), dose.each)
    with stand.workers(environment=met_by) as workers:
        idle = share_of_processor(workers, FEW.watched)
        with stand.web(environment=fired_by) as (_, port):
            fire_in_turn(stand, port, [*(one.path for one in strangers), "/events/packed/{id}"], dose.requests)
        waiting = wait_for(lambda: all_untouched(stand, dose.each * len(strangers)), "not all wait, in attempt 0")
        wait_for(lambda: expected.keys() == {(name, job) for _, name, job in told_by(workers)}, "not all are told of")
        beside = share_of_processor(workers, dose.watched)
        wait_for(lambda: stand.tables.rows(WAITING) == waiting, "what waited is not as it was")
        by_doctor, by_check = shown_by(stand, "doctor", met_by), shown_by(stand, "check", met_by)
        told, run_before = told_by(workers), stand.witness.runs
    with stand.workers(environment=fired_by):
        stand.drain()

    verdict = stand.judge()
    stand.tell(
        verdict,
        f"{len(waiting)} waited for {dose.watched:.0f} s, all in attempt 0, as {len(told)} lines told",
        f"a worker's share of a processor: {idle:.3f} with an empty queue, {beside:.3f} beside what waits",
        *(f"{one.name}: {one.why}" for one in strangers),
    )
    assert {(one.name, one.job): json.loads(one.payload) for one in waiting} == {s.pair: s.payload for s in strangers}
    assert max(Counter(told).values()) == 1
    assert by_check == expected
    assert by_doctor == expected or len(waiting) > MOST_SHOWN and by_doctor.keys() <= expected.keys()
    assert by_doctor
    assert beside < IDLE
    assert len(run_before) == dose.each
    verdict.refuse_faults()
    assert verdict.duplicates == 0
    assert stand.tables.states() == {"done": verdict.accepted} == {"done": dose.each * (len(strangers) + 1)}


@pytest.mark.parametrize("dose", [FEW, MANY], ids=str)
def test_workers_of_two_releases_side_by_side_run_what_each_knows(stand: Stand, dose: Dose) -> None:
    with stand.workers(environment=OLD) as old, stand.workers(environment=NEW) as new:
        pids = {"old": {*old.children()}, "new": {*new.children()}}
        for fired_by in (OLD, NEW):
            with stand.web(environment=fired_by) as (_, port):
                strangers = strange_of(fired_by[RELEASE])
                fire_in_turn(stand, port, [*(one.path for one in strangers), "/events/packed/{id}"], dose.requests)
        stand.drain(600)  # what is put off for a minute may meet the wrong worker again
        verdict = stand.judge()

    answered, ran_by = stand.ledger.answered_at, {note.id: note for note in stand.witness.begun}
    owners = {id: release for release in pids for id in ids_of(stand, strange_of(release))}
    wrong = [id for id, release in owners.items() if ran_by[id].pid not in pids[release]]
    waits = sorted(ran_by[id].time - answered[id] for id in owners)
    stand.tell(
        verdict, f"waits of what one release knows: median {waits[len(waits) // 2]:.1f} s, max {waits[-1]:.1f} s"
    )
    verdict.refuse_faults()
    assert not wrong
    assert verdict.duplicates == 0
    assert stand.tables.states() == {"done": verdict.accepted}


def test_what_a_killed_worker_had_in_hand_is_told_of_where_its_job_is_gone(stand: Stand) -> None:
    stand.hurry()
    stand.environment |= OLD
    pair = ("lingering", path_of(linger_in_old))
    with stand.workers() as workers:
        id = stand.fire("lingering", "x")
        stand.witnessed(lambda seen: seen.begun_of(id), "the job did not begin")
        os.killpg(workers.pid, signal.SIGKILL)
    with stand.workers(environment=NEW) as workers:
        wait_for(lambda: pair in {told[1:] for told in told_by(workers)}, "the new release does not tell of it")
        by_doctor, by_check = shown_by(stand, "doctor", NEW), shown_by(stand, "check", NEW)
        met = stand.tables.delivery(id)
    with stand.workers():
        stand.drain()

    verdict = stand.judge()
    stand.tell(verdict)
    assert met.attempt == 1
    assert by_doctor == by_check == {pair: 1}
    verdict.refuse_faults()
    assert [note.attempt for note in stand.witness.begun_of(id)] == [1, 2]


def fire_in_turn(stand: Stand, port: int, paths: list[str], requests: int) -> None:
    """Fire one kind after the other."""
    for path in paths:
        with stand.load(port, path, requests=requests):
            pass


def all_untouched(stand: Stand, count: int) -> list[Any]:
    """Return what waits when that is *count* deliveries, none was ever begun, and nothing runs; else nothing."""
    waiting = stand.tables.rows(WAITING)
    is_so = len(waiting) == count == stand.tables.count_left() and not any(one.attempt for one in waiting)
    return waiting if is_so else []


def told_by(workers: Running) -> list[tuple[str, str, str]]:
    """Return the pid, event and job of each line in which a worker told of what it does not know."""
    lines = TOLD.findall(workers.output.read_text())
    return [(pid, name, job) for pid, job, name in lines]


def shown_by(stand: Stand, command: str, environment: dict[str, str]) -> dict[Pair, int]:
    """Return how many deliveries of each event and job a command of that release shows as waiting for another."""
    run = subprocess.run(
        events_command(command),
        cwd=ROOT,
        env=os.environ | stand.environment | environment,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1, run.stdout + run.stderr
    text = " ".join(run.stdout.split())
    return {(name, job): int(count.replace(",", "")) for count, name, job in SHOWN.findall(text)}


def share_of_processor(workers: Running, seconds: float) -> float:
    """Return the mean share of a processor that each worker takes in the next *seconds*."""
    pids, began = workers.children(), time.monotonic()
    before = sum(map(processor_seconds, pids))
    time.sleep(seconds)
    return (sum(map(processor_seconds, pids)) - before) / (time.monotonic() - began) / len(pids)


def ids_of(stand: Stand, strangers: list[Strange]) -> list[str]:
    """Return the ids of the events whose jobs only one release knows."""
    query = "SELECT event_id, name, job, payload FROM condor_deliveries JOIN condor_events AS e ON e.id = event_id"
    kinds = [(*one.pair, one.payload) for one in strangers]
    return [id for id, *kind, payload in stand.tables.rows(query) if (*kind, json.loads(payload)) in kinds]
