"""T12 (G24), the logs' part: a full disk under what the processes log stops none of them, nor keeps one from starting.

A job that hangs has its process replaced meanwhile: that ends by force, and must not wait for what it cannot print.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reliability.disks import Disk
from tests.reliability.disks import small_disk
from tests.reliability.processes import wait_for
from tests.reliability.recovery import refuse_false_answers
from tests.reliability.recovery import resumption
from tests.reliability.recovery import settle
from tests.reliability.shop import TIMEOUT
from tests.reliability.stand import Stand

BACK_WITHIN = 10.0
"""Seconds after the return of space, and after a job's timeout, within which everything works again."""
SERVER = ("--worker-class=gthread", "--threads=4", "--log-level=debug")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("database_kind", ["sqlite"]),
]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with small_disk(tmp_path / "disk") as disk:
        yield disk


@pytest.mark.parametrize("seconds", [6, 60], ids=lambda seconds: f"{seconds} s")
@pytest.mark.parametrize("to", ["stderr", "files"])
def test_a_full_disk_under_the_logs_stops_nothing(stand: Stand, disk: Disk, seconds: float, to: str) -> None:
    options = log_to(stand, disk, to)
    disk.take()
    with stand.web(*SERVER, *options) as (web, port), stand.workers() as workers:
        with stand.load(port, "/orders/tx/{id}", "/events/ok/{id}", seconds=seconds):
            stand.fire("bad", "hung", kind="endless loop")
            hung = stand.witnessed(lambda seen: seen.begun_of("hung"), "no job hung").begun_of("hung")[0]
            wait_for(lambda: hung.pid not in workers.children(), "the process of a job that hung was not replaced")
            replaced = time.monotonic() - hung.time - TIMEOUT
        stand.drain()
        logged = disk.size_of_others()
        disk.give_back()
        resumed = resumption(stand, port, web, workers)
        wait_for(lambda: disk.size_of_others() > logged, "nothing is logged any more")
        verdict = settle(stand, web, workers)

    answers = Counter(stand.ledger.status.values())
    stand.tell(verdict, answers, f"replaced {replaced:.1f} s after a timeout; all worked {resumed:.1f} s after the end")
    verdict.refuse_faults()
    refuse_false_answers(stand)
    assert set(answers) == {201}
    assert replaced <= BACK_WITHIN
    assert resumed <= BACK_WITHIN


def log_to(stand: Stand, disk: Disk, to: str) -> tuple[str, ...]:
    """Have what is logged go to the disk, by stderr or by files of Python's logging; return gunicorn's options."""
    if to == "stderr":
        stand.outputs = disk.folder
        stand.environment["PYTHONUNBUFFERED"] = ""  # a buffer keeps what was not written, and each flush fails anew
        return ("--access-logfile=-",)
    stand.environment["SHOP_LOG_FILE"] = str(disk.folder / "shop.log")
    return f"--access-logfile={disk.folder / 'access.log'}", f"--error-logfile={disk.folder / 'error.log'}"
