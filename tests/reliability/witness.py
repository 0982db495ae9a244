"""The witness: what the jobs themselves say of their runs, in a file outside the product's database."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

FILE = "SHOP_WITNESS"
"""The environment variable that names the file."""


@dataclass(frozen=True)
class Note:
    id: str
    attempt: int
    pid: int
    time: float
    """Seconds of the machine's monotonic clock, which is the same in every process and takes no step."""
    word: str
    """"begun", the job's first line; "ended", its last; or what else it saw."""


def note(id: str, attempt: int, word: str) -> None:
    """Append one line, by one write."""
    line = f"{id} {attempt} {os.getpid()} {time.monotonic():.6f} {word}\n"
    file = os.open(os.environ[FILE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(file, line.encode())
    os.close(file)


class Witness:
    """The notes of one test, as they stand in the file at this moment."""

    def __init__(self, file: Path) -> None:
        lines = file.read_text().splitlines() if file.exists() else []
        self.notes = [note_from(line) for line in lines]
        self.begun = [note for note in self.notes if note.word == "begun"]
        self.runs = Counter(note.id for note in self.begun)

    def begun_of(self, id: str) -> list[Note]:
        return [note for note in self.begun if note.id == id]

    def said(self, word: str) -> list[Note]:
        return [note for note in self.notes if note.word == word]

    def first_begun(self) -> dict[str, float]:
        """Return when each id was first begun."""
        times: dict[str, list[float]] = defaultdict(list)
        for note in self.begun:
            times[note.id].append(note.time)
        return {id: min(each) for id, each in times.items()}


def note_from(line: str) -> Note:
    id, attempt, pid, at, word = line.split()
    return Note(id, int(attempt), int(pid), float(at), word)
