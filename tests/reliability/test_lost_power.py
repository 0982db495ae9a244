"""What T6 takes for a disk after a power cut: what was synced, and of the rest nothing, or some in pieces."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.reliability.lost_power import Disk
from tests.reliability.traced_calls import Call

FOLDER = Path("/disk")
FILE = "/disk/file"

pytestmark = pytest.mark.slow


def write(at: float, offset: int, data: bytes) -> Call:
    return Call("pwrite64", FILE, at, at + 0.5, offset, data)


def sync(at: float, path: str = FILE) -> Call:
    return Call("fdatasync", path, at, at + 0.5)


def make(at: float, path: str = FILE) -> Call:
    return Call("openat", path, at, at + 0.5, flags="O_RDWR|O_CREAT")


def after(*calls: Call, instant: float = 100, **contents: bytes) -> Disk:
    disk = Disk(FOLDER, contents)
    list(disk.until(iter(sorted(calls, key=lambda call: call.at)), [instant]))
    return disk


def test_what_was_written_before_a_sync_began_is_kept_once_that_has_ended() -> None:
    calls = write(1, 0, b"a"), sync(2), write(3, 1, b"b")

    before, disk = after(*calls, instant=2.4, file=b""), after(*calls, file=b"")

    assert before.worst() == {"file": b""}
    assert disk.worst() == {"file": b"a"}
    assert disk.whole() == {"file": b"ab"}


def test_what_was_being_written_when_a_sync_began_is_not_kept() -> None:
    assert after(write(1.8, 0, b"a"), sync(2), file=b"").worst() == {"file": b""}


def test_a_new_file_is_missing_and_a_deleted_one_is_back_until_their_folder_is_synced() -> None:
    new = make(1), write(2, 0, b"a"), sync(3)
    deleted = Call("unlink", FILE, 1, 1.5)

    assert after(*new).worst() == {}
    assert after(*new, sync(4, "/disk")).worst() == {"file": b"a"}
    assert after(deleted, file=b"old").worst() == {"file": b"old"}
    assert after(deleted, make(2), write(3, 0, b"new"), sync(4), file=b"old").worst() == {"file": b"old"}
    assert after(deleted, sync(2, "/disk"), file=b"old").worst() == {}


def test_a_ragged_cut_keeps_each_piece_of_a_file_as_it_was_at_some_moment() -> None:
    old, new, newer = (bytes([number]) * 8192 for number in range(3))
    disk = after(write(1, 0, new), write(2, 0, newer), file=old)

    left = [disk.ragged(random.Random(seed))["file"] for seed in range(50)]
    pieces = [{content[start : start + 512] for start in range(0, 8192, 512)} for content in left]

    assert {old, new, newer} & set(left)
    assert any(len(each) == 3 for each in pieces)
    assert all(piece in (old[:512], new[:512], newer[:512]) for each in pieces for piece in each)


def test_a_ragged_cut_keeps_some_size_of_a_file_that_grows() -> None:
    disk = after(*(write(number, number * 512, b"x" * 512) for number in range(8)), file=b"")

    sizes = {len(disk.ragged(random.Random(seed))["file"]) for seed in range(200)}

    assert sizes == {number * 512 for number in range(9)}
