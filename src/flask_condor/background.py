"""The background: what writes to the log in threads, closed before the process ends and kept whole at forks."""

from __future__ import annotations

import atexit
import os
import sys
import typing as t
from weakref import WeakSet


class Writer(t.Protocol):
    """What has something to write that no request waits for."""

    def close(self) -> None:
        """Write what can be written before the process ends."""

    def pause(self) -> None:
        """Hold back the next write, once the one in progress is done."""

    def resume(self) -> None:
        """Let writes go on that this thread has paused."""

    def forget(self) -> None:
        """Begin anew, with nothing that waits."""


WRITERS: WeakSet[Writer] = WeakSet()
"""All of this process, for its exit and its forks."""


def close_at_exit() -> None:
    """Let this process close its writers when it ends.

    A child of multiprocessing ends without calling what atexit holds (before Python 3.12), but calls its own.
    """
    atexit.unregister(close_all)
    atexit.register(close_all)
    multiprocessing = sys.modules.get("multiprocessing.util")
    if multiprocessing is not None:
        multiprocessing.Finalize(None, close_all, exitpriority=0)


def close_all() -> None:
    for writer in list(WRITERS):
        writer.close()


def pause_all() -> None:
    """Let no fork happen amid a write: a copy of SQLite's locks would be taken for good in the child."""
    for writer in list(WRITERS):
        writer.pause()


def resume_all() -> None:
    for writer in list(WRITERS):
        writer.resume()


def forget_all() -> None:
    """Leave what the parent has not written yet to the parent."""
    for writer in list(WRITERS):
        writer.forget()


os.register_at_fork(before=pause_all, after_in_parent=resume_all, after_in_child=forget_all)
