"""T6 (G13): the power is cut at a random instant; no event that was accepted before it is lost, and no file is damaged.

`strace` records what web and job workers do to the SQLite file under load; lost_power.py, which states the model, tells
what a disk would hold after a cut. A third of the instants are any, a third are those at which an answer arrived, and a
third lie within a write to the database file itself, so within a checkpoint. Each file that is left is opened and
looked at. On some the product is started, and has to run, or to have run before the cut, all that was accepted.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path

import pytest

from tests.reliability.checker import Tables
from tests.reliability.checker import Verdict
from tests.reliability.checker import judge
from tests.reliability.processes import events_command
from tests.reliability.processes import running
from tests.reliability.recording import NAME
from tests.reliability.recording import Recording
from tests.reliability.recording import record
from tests.reliability.stand import Stand
from tests.reliability.witness import FILE
from tests.reliability.witness import Witness
from tests.test_mutations import break_package

ALONE, WITH_ORDER = "/events/ok/{id}", "/orders/tx/{id}"
APPS_FILE, OWN_FILE = "the app's file", "a file of its own"
FAST = [("sqlite_file.py", '"synchronous = FULL"', '"synchronous = NORMAL"')]
TIDY = [("sqlite_file.py", "COMMITS_PER_CHECKPOINT = 200", "COMMITS_PER_CHECKPOINT = 20")]
"""Else there would hardly be a checkpoint of Condor's own in so short a load."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
    pytest.mark.parametrize("database_kind", ["sqlite"]),
]


@dataclass(frozen=True)
class Dose:
    instants: int
    seconds: float
    """Of load, before all is restarted and again after it."""
    boots: int
    """On how many disks of each model the product is started."""

    def __str__(self) -> str:
        return f"{self.instants} instants"


DOSES = pytest.mark.parametrize("dose", [Dose(20, 3, 2), Dose(200, 10, 10)], ids=str)


@dataclass
class Findings:
    """What is wrong with what is left on the disks of one model."""

    verb: str
    """What cuts do to what is not durable: the worst "took" all of it, the ragged "kept" some."""
    cuts: int = 0
    hits: int = 0
    """Cuts that took, or kept, something."""
    losing: int = 0
    """Cuts that lost an accepted event."""
    lost: list[str] = field(default_factory=list)
    halves: list[str] = field(default_factory=list)
    """Orders without their event, and events without their order."""
    damage: list[str] = field(default_factory=list)

    @property
    def faults(self) -> list[str]:
        return [*self.lost, *self.halves, *self.damage]

    def __str__(self) -> str:
        return (
            f"{self.cuts} cuts, {self.hits} of them {self.verb} what was not durable; {self.losing} lost accepted"
            f" events, {len(self.lost)} in all; {len(self.halves)} orders or events without the other,"
            f" {len(self.damage)} integrity errors"
        )


@DOSES
@pytest.mark.parametrize("place", [APPS_FILE, OWN_FILE])
def test_a_power_cut_loses_no_accepted_event(stand: Stand, place: str, dose: Dose) -> None:
    paths = [ALONE, WITH_ORDER]
    if place == OWN_FILE:
        run_changed(stand, TIDY)
        stand.environment["SHOP_CONDOR_DATABASE_URL"] = stand.url
        stand.environment["SHOP_SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{stand.folder / 'app.db'}"
        paths = [ALONE]

    recording = record(stand, paths, dose.seconds)
    instants = recording.draw(dose.instants, stand.chance)
    findings = look(stand, recording, instants)

    stand.tell(recording, *findings)
    assert not [fault for one in findings for fault in one.faults]
    assert all(one.hits for one in findings)

    verdicts = list(boot(stand, recording, instants, dose.boots))

    stand.tell(f"{len(verdicts)} boots:", *verdicts)
    assert len(verdicts) == 2 * dose.boots
    for verdict in verdicts:
        verdict.refuse_faults()


@DOSES
def test_without_a_flush_at_each_commit_a_power_cut_loses_events_and_damages_nothing(stand: Stand, dose: Dose) -> None:
    run_changed(stand, FAST)
    stand.environment["SHOP_IS_FAST"] = "true"

    recording = record(stand, [ALONE, WITH_ORDER], dose.seconds)
    findings = look(stand, recording, recording.draw(dose.instants, stand.chance))

    stand.tell(recording, *findings)
    for one in findings:
        assert one.lost
        assert not one.halves + one.damage


def run_changed(stand: Stand, changes: list[tuple[str, str, str]]) -> None:
    """Run a copy of the product with *changes*; nothing else differs."""
    break_package(stand.folder / "changed", changes)
    stand.environment["PYTHONPATH"] = str(stand.folder / "changed")


def look(stand: Stand, recording: Recording, instants: list[float]) -> list[Findings]:
    """Cut the power at each instant, by either model, and look at what is left."""
    worst, ragged = Findings("took"), Findings("kept")
    disk, folder = recording.disk(), stand.folder / "cut"
    for instant in disk.until(iter(recording.calls), instants):
        accepted, durable = recording.accepted_until(instant), disk.worst()
        for findings, files, other in (
            (worst, durable, disk.whole()),
            (ragged, disk.ragged(stand.chance), durable),
        ):
            findings.cuts += 1
            findings.hits += files != other
            inspect(write_all(folder, files), accepted, findings)
            shutil.rmtree(folder)
    return [worst, ragged]


def inspect(file: Path, accepted: set[str], findings: Findings) -> None:
    """Open a file, which lets SQLite recover it, and compare what is in it with what was accepted."""
    with closing(sqlite3.connect(file)) as connection:
        try:
            checked = [line for (line,) in connection.execute("PRAGMA integrity_check")]
            events = {id: name for id, name in rows(connection, "condor_events", "id, name")}
            deliveries = {id for (id,) in rows(connection, "condor_deliveries", "event_id")}
            orders = {id for (id,) in rows(connection, "orders", "id")}
        except sqlite3.DatabaseError as error:
            findings.damage.append(str(error))
            return
    findings.damage += [line for line in checked if line != "ok"]
    lost = sorted(accepted - (events.keys() & deliveries))
    findings.losing += bool(lost)
    findings.lost += lost
    findings.halves += sorted(orders ^ {id for id, name in events.items() if name == "tx"})


def rows(connection: sqlite3.Connection, table: str, columns: str) -> list[tuple[str, ...]]:
    """Return those of a table; none when the cut came before it was made."""
    is_there = connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    return connection.execute(f"SELECT {columns} FROM {table}").fetchall() if is_there else []


def write_all(folder: Path, files: dict[str, bytes]) -> Path:
    """Write *files* to a new folder; return the path of the database among them."""
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder / NAME


def boot(stand: Stand, recording: Recording, instants: list[float], count: int) -> Iterator[Verdict]:
    """Start the product on some of the disks of each model, once no lease from before the cut is valid."""
    chosen = sorted(stand.chance.sample(instants, count))
    time.sleep(max(0.0, chosen[-1] + stand.lease + stand.sweep - time.time()))
    disk = recording.disk()
    for number, instant in enumerate(disk.until(iter(recording.calls), chosen)):
        for model, files in (("worst", disk.worst()), ("ragged", disk.ragged(random.Random(f"{stand.seed} {number}")))):
            yield run_on(write_all(stand.folder / f"{model}-{number}", files), stand, recording, instant)


def run_on(file: Path, stand: Stand, recording: Recording, instant: float) -> Verdict:
    """Let a worker run what is left in a file; judge it together with what was run before the cut."""
    witness, url = file.with_name("witness.txt"), f"sqlite:///{file}"
    notes = [note for note in stand.witness.notes if note.time + recording.offset <= instant]
    witness.write_text("".join(f"{one.id} {one.attempt} {one.pid} {one.time} {one.word}\n" for one in notes))
    environment = {name: value.replace(stand.url, url) for name, value in stand.environment.items()}
    tables = Tables(url)
    try:
        for _ in range(10):
            command, output = events_command("worker", "--once"), file.with_name("worker.log")
            with running(command, environment | {FILE: str(witness)}, output) as worker:
                assert worker.process.wait(300) == 0, output.read_text()
            if not tables.count_left():
                break
        return judge(recording.ledger_until(instant), Witness(witness), tables)
    finally:
        tables.engine.dispose()
