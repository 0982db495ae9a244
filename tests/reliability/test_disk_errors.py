"""T13 (G24): one write or flush in a hundred fails, in web workers or in job workers; nothing accepted is lost.

After each round all processes are killed, so that the next ones have the files of the database, and nothing else.
"""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass

import pytest

from tests.reliability.disks import FLUSHES
from tests.reliability.disks import WRITES
from tests.reliability.disks import Fault
from tests.reliability.disks import Injection
from tests.reliability.disks import files_of
from tests.reliability.recovery import PLACES
from tests.reliability.recovery import file_of
from tests.reliability.recovery import place_log
from tests.reliability.recovery import refuse_false_answers
from tests.reliability.recovery import settle
from tests.reliability.stand import Stand

THREADS = ("--worker-class=gthread", "--threads=4")


@dataclass(frozen=True)
class Dose:
    rounds: int
    seconds: float
    one_in: int
    """Of so many calls one fails."""
    faults: int
    """The calls that have to fail."""
    accepted: int
    """The events that have to be accepted all the same."""

    def __str__(self) -> str:
        return f"{self.rounds} of {self.seconds:.0f} s"


QUICK = Dose(rounds=1, seconds=8, one_in=40, faults=3, accepted=50)
NIGHT = Dose(rounds=6, seconds=30, one_in=100, faults=50, accepted=1000)
CASES = [(QUICK, place) for place in PLACES] + [(NIGHT, place) for place in PLACES if "journaled" not in place]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
    pytest.mark.parametrize("database_kind", ["sqlite"]),
    pytest.mark.parametrize(("dose", "place"), CASES, ids=str),
]


@pytest.mark.parametrize("fault", [FLUSHES, WRITES], ids=str)
@pytest.mark.parametrize("victim", ["web", "workers"])
def test_no_accepted_event_is_lost_when_writes_or_flushes_fail_now_and_then(
    stand: Stand, dose: Dose, place: str, victim: str, fault: Fault
) -> None:
    paths = place_log(stand, place)
    injections = [run_round(stand, dose, paths, victim, fault) for _ in range(dose.rounds)]
    verdict = settle(stand)

    answers = Counter(stand.ledger.status.values())
    stand.tell(verdict, answers, f"{fault} in {victim}:", *injections)
    verdict.refuse_faults()
    refuse_false_answers(stand)
    assert set(answers) <= {201, 503}
    assert sum(injection.count for injection in injections) >= dose.faults
    assert verdict.accepted >= dose.accepted


def run_round(stand: Stand, dose: Dose, paths: tuple[str, ...], victim: str, fault: Fault) -> Injection:
    """Load the shop while calls of one kind of process fail; kill all in the end."""
    output = stand.next_output(victim)
    told = output.with_suffix(".faults")
    files = [*files_of(file_of(stand)), output]
    injection = Injection(fault, files, told, one_in=dose.one_in, chance=stand.chance)
    stand.under = {victim: injection.command}
    with stand.web(*THREADS) as (web, port), stand.workers() as workers:
        with stand.load(port, *paths, seconds=dose.seconds):
            pass
        assert web.process.poll() is None, stand.output("web")
        assert workers.process.poll() is None, stand.output("workers")
        stand.crash(web, workers)
    stand.under.clear()
    return injection
