"""A disk whose power is cut: what it then holds of the files that were written to it.

The model, for the files of one folder:

- A sync of a file that has ended makes durable every change to that file that had ended when the sync began, and
  nothing else. The disk honours it: one that lies is not shown here.
- A sync of the folder makes durable which files are in it. Without one a new file may be missing, even a synced one,
  and a deleted one may be back with what it last held durably.
- At the worst cut nothing is left but what is durable. At a ragged one the changes since are kept up to a moment, in
  half of the cases the last, for each file another; from then on each piece of it (of 512 bytes, or of 4096) holds what
  it held at some moment of its own, so that writes are torn and out of order. The size of the file, too, is that of
  some moment, and so is the folder.
- A piece of 512 bytes is never torn itself, and writing to one damages no other. SQLite assumes no less: its
  documentation calls it powersafe overwrite.

Only what reaches the disk by calls is known to it: a shared memory file (``-shm``) is left out, as after a power cut.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path

from tests.reliability.traced_calls import SYNCS
from tests.reliability.traced_calls import Call

PIECES = 512, 4096


@dataclass
class File:
    durable: bytearray = field(default_factory=bytearray)
    changes: list[Call] = field(default_factory=list)
    """Those that no sync has made durable."""

    def sync(self, sync: Call) -> None:
        ended = [change for change in self.changes if change.end <= sync.start]
        self.changes = [change for change in self.changes if change.end > sync.start]
        change_all(self.durable, ended)

    def whole(self) -> bytes:
        return bytes(change_all(bytearray(self.durable), self.changes))

    def ragged(self, chance: random.Random) -> bytes:
        """Return what a ragged cut leaves of it."""
        moment = chance.choice((chance.randint(0, len(self.changes)), len(self.changes)))
        content = change_all(bytearray(self.durable), self.changes[:moment])
        later, piece = self.changes[moment:], chance.choice(PIECES)
        size = size_after(len(content), later[: chance.randint(0, len(later))])
        for start, writes in by_piece(later, piece).items():
            for write in writes[: chance.randint(0, len(writes))]:
                first, last = max(start, write.offset), min(start + piece, write.offset + len(write.data))
                put(content, first, write.data[first - write.offset : last - write.offset])
        return bytes(resize(content, size))


class Disk:
    """The files of a folder, by their names; those that it begins with are durable."""

    def __init__(self, folder: Path, contents: dict[str, bytes]) -> None:
        self._folder = folder
        self._durable = {name: File(bytearray(content)) for name, content in contents.items()}
        self._now = dict(self._durable)
        self._changes: list[tuple[Call, str, File | None]] = []
        """Which file has had which name since, and the deletions, until a sync of the folder."""

    def until(self, calls: Iterator[Call], instants: Iterable[float]) -> Iterator[float]:
        """Go through *calls*; yield each of *instants*, which are in order, when it has come."""
        call = next(calls, None)
        for instant in instants:
            while call is not None and call.at <= instant:
                self._take(call)
                call = next(calls, None)
            yield instant

    def _take(self, call: Call) -> None:
        name = Path(call.path).name
        if Path(call.path) == self._folder:
            if call.name in SYNCS:
                self._sync_folder(call)
        elif call.name == "openat":
            assert "O_TRUNC" not in call.flags
            if "O_CREAT" in call.flags and name not in self._now:
                self._rename(call, name, File())
        elif call.name == "unlink":
            self._rename(call, name, None)
        elif call.name in SYNCS:
            self._now[name].sync(call)
        else:
            self._now[name].changes.append(call)

    def _rename(self, call: Call, name: str, file: File | None) -> None:
        enter(self._now, name, file)
        self._changes.append((call, name, file))

    def _sync_folder(self, sync: Call) -> None:
        for call, name, file in self._changes:
            if call.end <= sync.start:
                enter(self._durable, name, file)
        self._changes = [change for change in self._changes if change[0].end > sync.start]

    def whole(self) -> dict[str, bytes]:
        """Return what it holds while there is power."""
        return {name: file.whole() for name, file in self._now.items()}

    def worst(self) -> dict[str, bytes]:
        """Return what is left when nothing is but what is durable."""
        return {name: bytes(file.durable) for name, file in self._durable.items()}

    def ragged(self, chance: random.Random) -> dict[str, bytes]:
        """Return what is left when some of what is not durable is, too."""
        files = dict(self._durable)
        for _, name, file in self._changes[: chance.randint(0, len(self._changes))]:
            enter(files, name, file)
        return {name: file.ragged(chance) for name, file in files.items()}


def enter(files: dict[str, File], name: str, file: File | None) -> None:
    if file is None:
        files.pop(name, None)
    else:
        files[name] = file


def change_all(content: bytearray, changes: Iterable[Call]) -> bytearray:
    for change in changes:
        if change.name == "ftruncate":
            resize(content, change.offset)
        else:
            put(content, change.offset, change.data)
    return content


def put(content: bytearray, offset: int, data: bytes) -> None:
    if len(content) < offset:
        resize(content, offset)
    content[offset : offset + len(data)] = data


def resize(content: bytearray, size: int) -> bytearray:
    del content[size:]
    content.extend(bytes(size - len(content)))
    return content


def size_after(size: int, changes: Iterable[Call]) -> int:
    for change in changes:
        size = change.offset if change.name == "ftruncate" else max(size, change.offset + len(change.data))
    return size


def by_piece(changes: Iterable[Call], piece: int) -> dict[int, list[Call]]:
    """Return the writes that touch each piece of a file, by where the piece begins."""
    touched: dict[int, list[Call]] = {}
    for change in changes:
        first = change.offset // piece * piece
        for start in range(first, change.offset + len(change.data), piece) if change.data else ():
            touched.setdefault(start, []).append(change)
    return touched
