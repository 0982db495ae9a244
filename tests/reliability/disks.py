"""Disks that fail: a small file system that can be filled up, and writes and flushes that fail now and then."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

SIZE = 20 * 2**20
BLOCK = 4096


class Disk:
    """A file system of 20 MB in memory, of which a file of ballast takes what it is told to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    @property
    def free(self) -> int:
        status = os.statvfs(self.folder)
        return status.f_bavail * status.f_frsize

    def take(self, *, leaving: int = 0) -> None:
        """Let the ballast grow until so many bytes are left, or none."""
        with self._ballast.open("ab", buffering=0) as file:
            while self.free > leaving:
                try:
                    file.write(bytes(min(max(BLOCK, self.free - leaving), 64 * BLOCK)))
                except OSError as error:
                    assert error.errno == errno.ENOSPC
                    return

    def size_of_others(self) -> int:
        """Return how many bytes the files beside the ballast have."""
        return sum(file.stat().st_size for file in self.folder.iterdir() if file != self._ballast)

    def give_back(self) -> None:
        """Free what the ballast takes."""
        self._ballast.unlink()


@contextmanager
def small_disk(folder: Path) -> Iterator[Disk]:
    """Mount a small disk at *folder*; where that is refused the test is skipped."""
    folder.mkdir()
    mounting = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=700", "tmpfs", folder], capture_output=True, text=True
    )
    if mounting.returncode:
        pytest.skip(f"no file system can be mounted here: {mounting.stderr.strip()}")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@dataclass(frozen=True)
class Fault:
    """What fails, and how."""

    calls: str
    error: str

    def __str__(self) -> str:
        return f"{self.error} of {self.calls.replace(',', ' and ')}"


FLUSHES = Fault("fsync,fdatasync", "EIO")
WRITES = Fault("write,pwrite64", "ENOSPC")


class Injection:
    """Lets one call in so many fail, of those by which a process writes to or flushes some files.

    `strace` counts the calls of each kind by thread. The first of a thread to fail, and how many are between two, are
    drawn by chance.
    """

    def __init__(self, fault: Fault, files: list[Path], told: Path, *, one_in: int, chance: Random) -> None:
        self.step = chance.randint(one_in - one_in // 5, one_in + one_in // 5)
        self.first = chance.randint(1, self.step)
        self._fault = fault
        self._files = files
        self._told = told

    def __str__(self) -> str:
        return f"when={self.first}+{self.step}: {self.count} calls failed"

    @property
    def command(self) -> list[str]:
        """What to run a command under; strace is then a child of it, so that signals and children are the command's."""
        paths = [word for file in self._files for word in ("-P", str(file))]
        inject = f"inject={self._fault.calls}:error={self._fault.error}:when={self.first}+{self.step}"
        return [
            *("strace", "-D", "-f", "-qq", "--seccomp-bpf", "-Z", "-o", str(self._told), *paths),
            *("-e", "signal=none", "-e", f"trace={self._fault.calls}", "-e", inject),
        ]

    @property
    def count(self) -> int:
        """How many calls have failed so far."""
        return self._told.read_text().count("(INJECTED)") if self._told.exists() else 0


def files_of(database: Path) -> list[Path]:
    """Return all files that SQLite may make for a database."""
    return [database, *(database.with_name(f"{database.name}-{kind}") for kind in ("wal", "shm", "journal"))]
