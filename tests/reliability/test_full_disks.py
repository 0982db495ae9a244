"""T12 (G24), the database's part: on a full disk events are refused, and none that was accepted is lost.

A web worker and a worker process are killed while the disk is full, so that two start on it.
"""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.reliability.disks import Disk
from tests.reliability.disks import small_disk
from tests.reliability.processes import Running
from tests.reliability.processes import kill
from tests.reliability.processes import wait_for
from tests.reliability.recovery import PLACES
from tests.reliability.recovery import place_log
from tests.reliability.recovery import refuse_false_answers
from tests.reliability.recovery import resumption
from tests.reliability.recovery import settle
from tests.reliability.stand import Stand

BACK_WITHIN = 10.0
"""Seconds after the return of space within which everything works again."""
CONNECTIONS = 16
THREADS = ("--worker-class=gthread", "--threads=4")
PAD = "x" * 2000
"""What each event carries, to fill the disk."""
MIB = 2**20
CRUMBS = 2**16


@dataclass(frozen=True)
class Dose:
    rooms: tuple[int, ...]
    """The bytes that the load has to fill, for each time that the disk becomes full."""
    seconds: float
    """For how long it stays full."""
    met: int
    """The requests that meet it, at least, each time."""

    def __str__(self) -> str:
        return f"{len(self.rooms)} times"


QUICK = Dose((MIB,), seconds=3, met=20)
NIGHT = Dose((6 * MIB, MIB, MIB, MIB), seconds=20, met=100)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("database_kind", ["sqlite"]),
    pytest.mark.parametrize("dose", [QUICK, NIGHT], ids=str),
]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with small_disk(tmp_path / "disk") as disk:
        yield disk


@pytest.fixture
def database_folder(disk: Disk) -> Path:
    return disk.folder


@pytest.mark.parametrize("place", PLACES)
def test_no_accepted_event_is_lost_when_the_disk_of_the_database_is_full(
    stand: Stand, disk: Disk, dose: Dose, place: str
) -> None:
    paths = [f"{path}?pad={PAD}" for path in place_log(stand, place)]
    resumed = []
    with stand.web(*THREADS) as (web, port), stand.workers() as workers:
        for room in dose.rooms:
            disk.take(leaving=room)
            with stand.load(port, *paths) as loader:
                fill_up(stand, disk, dose)
                kill_one_of_each(stand, web, workers)
                time.sleep(dose.seconds)
                disk.give_back()
                resumed.append(resumption(stand, port, web, workers))
                loader.send(signal.SIGTERM)
        verdict = settle(stand, web, workers)

    answers = Counter(stand.ledger.status.values())
    stand.tell(verdict, answers, f"all worked again after {', '.join(f'{each:.1f}' for each in resumed)} s")
    verdict.refuse_faults()
    refuse_false_answers(stand)
    assert set(answers) - {0} == {201, 503}
    assert answers[0] <= CONNECTIONS * len(dose.rooms)
    assert max(resumed) <= BACK_WITHIN


def fill_up(stand: Stand, disk: Disk, dose: Dose) -> None:
    """Wait until the load has filled the disk but for crumbs, take these, and wait until requests have met that."""
    before = stand.count_answers(503)
    wait_for(
        lambda: disk.free < CRUMBS or stand.count_answers(503) > before, "the load does not fill the disk", seconds=300
    )
    disk.take()
    enough = stand.count_answers(201) + stand.count_answers(503) + dose.met
    wait_for(
        lambda: stand.count_answers(201) + stand.count_answers(503) >= enough, "requests are not answered", seconds=300
    )


def kill_one_of_each(stand: Stand, *running: Running) -> None:
    for one in running:
        kill(stand.chance.choice(one.children()))
