"""The calls by which processes under `strace` changed an SQLite file and its write-ahead log, with what they wrote.

The times are those of the wall clock. Each process has a trace of its own. What one did after another's call had ended
begins later by the same clock, so that the traces can be merged: those who write to a file of SQLite's take turns.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

CALLS = ("openat", "pwrite64", "ftruncate", "fsync", "fdatasync", "unlink")
"""By which SQLite changes files."""
OTHERS = (
    *("open", "creat", "write", "writev", "pwritev", "pwritev2", "sendfile", "copy_file_range", "mmap"),
    *("fallocate", "truncate", "sync_file_range", "unlinkat", "rename", "renameat", "renameat2", "link", "linkat"),
)
"""By which files could be changed too: one that is seen here fails the test, as its effect would be missed."""
SYNCS = ("fsync", "fdatasync")
LINE = re.compile(r"(\d+) +(\d+\.\d+) (.*)")
CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+|\?)(.*)")
SECONDS = re.compile(r"<(\d+\.\d+)>$")
UNFINISHED, RESUMED = " <unfinished ...>", " resumed>"


@dataclass(frozen=True)
class Call:
    name: str
    path: str
    start: float
    end: float
    offset: int = 0
    """Of a write, where it begins; of a truncation, the size of the file after it."""
    data: bytes = b""
    flags: str = ""

    @property
    def at(self) -> float:
        """When it counts: a change as soon as it may have begun, a sync when it has surely ended."""
        return self.end if self.name in SYNCS else self.start


def strace(trace: Path, *paths: Path) -> list[str]:
    """Return what a command is started by to have its calls on *paths* written to *trace*; it stays our child."""
    command = ["strace", "-DD", "-f", "--seccomp-bpf", "-q", "-y", "-ttt", "-T", "-xx", "-s", "1000000"]
    command += ["-o", str(trace), "-e", "signal=none", "-e", f"trace={','.join(CALLS + OTHERS)}"]
    return [*command, *(word for path in paths for word in ("-P", str(path)))]


def is_being_written(trace: Path) -> bool:
    """Tell whether a process has the file open: `strace` ends shortly after what it traced."""
    for opened in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if os.readlink(opened) == str(trace):
                return True
    return False


def calls_in(*traces: Path) -> list[Call]:
    """Return the calls that succeeded, in the order in which they count."""
    return sorted((call for trace in traces for call in read(trace)), key=lambda call: call.at)


def read(trace: Path) -> Iterator[Call]:
    begun: dict[str, tuple[float, str]] = {}
    with trace.open() as lines:
        for line in lines:
            pid, time, text = match(LINE, line.rstrip("\n")).groups()
            start = end = float(time)
            if text.startswith(("+++", "---")):
                continue
            if text.endswith(UNFINISHED):
                begun[pid] = start, text.removesuffix(UNFINISHED)
                continue
            if RESUMED in text[:40]:
                start, head = begun.pop(pid)
                text = head + text.partition(RESUMED)[2]
            elif seconds := SECONDS.search(text):
                end += float(seconds[1])
            yield from call_from(text, start, end)
    assert not begun, f"calls that have not ended: {begun}"


def call_from(text: str, start: float, end: float) -> Iterator[Call]:
    """Yield the call, if it succeeded and changed or synced a file that has a name."""
    name, arguments, returned, _ = match(CALL, text).groups()
    words = arguments.split(", ")
    if returned in ("-1", "?") or words[0].endswith("(deleted)"):
        return
    if name == "mmap" and "PROT_WRITE" not in arguments:
        return
    assert name in CALLS, f"a call whose effect is not known: {text[:300]}"
    path = plain(words[1] if name == "openat" else words[0]).decode()
    if name == "pwrite64":
        data = plain(words[1])[: int(returned)]
        assert len(data) == int(returned), f"not all that was written is in the trace: {text[:300]}"
        yield Call(name, path, start, end, int(words[3]), data)
    elif name == "ftruncate":
        yield Call(name, path, start, end, int(words[1]))
    else:
        yield Call(name, path, start, end, flags=words[2] if name == "openat" else "")


def match(pattern: re.Pattern[str], text: str) -> re.Match[str]:
    found = pattern.match(text)
    assert found, f"not a line of strace's: {text[:300]}"
    return found


def plain(word: str) -> bytes:
    """Return what stands between quotes, or is the path of a descriptor."""
    return bytes.fromhex(word[word.find("\\") : word.rfind("\\") + 4].replace("\\x", ""))
