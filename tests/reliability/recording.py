"""The recording of a load on SQLite: what was done to the files of the database, and when each event was accepted."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.reliability.loader import Ledger
from tests.reliability.lost_power import Disk
from tests.reliability.processes import wait_for
from tests.reliability.stand import Stand
from tests.reliability.traced_calls import SYNCS
from tests.reliability.traced_calls import Call
from tests.reliability.traced_calls import calls_in
from tests.reliability.traced_calls import is_being_written
from tests.reliability.traced_calls import strace

NAME = "condor.db"
KEPT = ("", "-wal", "-journal")
"""How the names of the files end that a disk keeps."""
CONNECTIONS = 16
STEADY = 0.001
"""Seconds by which the clocks of the ledger and of `strace` may drift apart."""


@dataclass
class Recording:
    folder: Path
    before: dict[str, bytes]
    """The files as they were at first."""
    calls: list[Call]
    ledger: Ledger
    offset: float
    """What the wall clock is ahead of the monotonic one, which is the ledger's."""

    def __post_init__(self) -> None:
        ledger, offset = self.ledger, self.offset
        self.accepted_at = {id: ledger.answered_at[id] + offset for id in ledger.acked}

    def accepted_until(self, instant: float) -> set[str]:
        return {id for id, at in self.accepted_at.items() if at <= instant}

    def ledger_until(self, instant: float) -> Ledger:
        """Return what the client had been told at that instant."""
        return Ledger(self.ledger.attempted, {id: self.ledger.status[id] for id in self.accepted_until(instant)})

    def disk(self) -> Disk:
        return Disk(self.folder, self.before)

    def draw(self, count: int, chance: random.Random) -> list[float]:
        """Draw instants: any, those at which an answer arrived, and some within a checkpoint's writes, in turn."""
        answers = sorted(self.accepted_at.values())
        writes = [call for call in self.calls if call.name == "pwrite64" and Path(call.path).name == NAME]
        draws = (
            lambda: chance.uniform(answers[0], answers[-1]),
            lambda: chance.choice(answers),
            lambda: chance.choice([(call.start + call.end) / 2 for call in writes]),
        )
        return sorted(draws[number % len(draws)]() for number in range(count))

    def __str__(self) -> str:
        syncs = [call for call in self.calls if call.name in SYNCS]
        of_file = sum(Path(call.path).name == NAME for call in syncs)
        size = sum(len(call.data) for call in self.calls) / 2**20
        return (
            f"accepted n={len(self.accepted_at)} of {len(self.ledger.attempted)}; {len(self.calls)} calls traced,"
            f" {size:.0f} MiB written, {len(syncs)} syncs, {of_file} of them of the database file (checkpoints)"
        )


def record(stand: Stand, paths: list[str], seconds: float) -> Recording:
    """Load the product under `strace`; restart all of it, and load it again."""
    stand.close()  # the last connection to close moves the write-ahead log into the file, and deletes it
    before, offset = contents_of(stand.folder), offset_of_clocks()
    traces: list[Path] = []
    for turn in range(2):
        for name in ("web", "workers"):
            traces.append(stand.folder / f"{name}-{turn}.trace")
            stand.under[name] = strace(traces[-1], stand.folder, *(stand.folder / f"{NAME}{end}" for end in KEPT))
        with stand.web("--worker-class=gthread", "--threads=4") as (_, port), stand.workers():
            stand.close()
            load(stand, port, paths, seconds, CONNECTIONS // len(paths))
    for trace in traces:
        wait_for(partial(has_ended, trace), f"strace has not ended: {trace}")
    stand.under.clear()
    assert abs(offset_of_clocks() - offset) < STEADY, "the clock was set meanwhile"
    recording = Recording(stand.folder, before, calls_in(*traces), stand.ledger, offset)
    refuse_gaps(recording)
    return recording


def has_ended(trace: Path) -> bool:
    return not is_being_written(trace)


def load(stand: Stand, port: int, paths: list[str], seconds: float, connections: int) -> None:
    """Load each path by a loader of its own, all at once."""
    with stand.load(port, paths[0], seconds=seconds, connections=connections):
        if len(paths) > 1:
            load(stand, port, paths[1:], seconds, connections)


def offset_of_clocks() -> float:
    return time.time() - time.monotonic()


def contents_of(folder: Path) -> dict[str, bytes]:
    """Return the files of the database, but for those in memory."""
    files = (folder / f"{NAME}{end}" for end in KEPT)
    return {file.name: file.read_bytes() for file in files if file.exists()}


def refuse_gaps(recording: Recording) -> None:
    """Fail when what was traced does not make the files as they are now."""
    disk = recording.disk()
    list(disk.until(iter(recording.calls), [time.time()]))
    now, made = contents_of(recording.folder), disk.whole()
    assert {name: len(content) for name, content in made.items()} == {name: len(now[name]) for name in now}
    assert made == now, "not all that was written to the files was traced"
