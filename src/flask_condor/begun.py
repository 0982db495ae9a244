"""The begun: what a worker process has begun to run, in memory that outlives it, for the one that takes its place."""

from __future__ import annotations

import itertools
import mmap

import msgspec

NAME = 256
"""Bytes for the name of the worker."""
LAST = 4096
"""Deliveries that are remembered: more than a process can have begun and not written as finished."""


class Left(msgspec.Struct, frozen=True):
    """What a worker that has ended left behind."""

    worker: str
    begun: frozenset[int]
    """The last deliveries that it began, by their numbers; those that it had finished are among them."""


class Begun:
    """Remembers what a child process begins; made in its parent, before the fork. A kill leaves it as it is."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, NAME + 8 * LAST)
        self._ids = memoryview(self._memory)[NAME:].cast("q")
        self._counter = itertools.count()

    def by(self, worker: str) -> None:
        """Remember the name of the worker, in the child."""
        name = worker.encode()[:NAME]
        self._memory[: len(name)] = name

    def add(self, delivery_id: int) -> None:
        """Remember that a job is about to begin, in the child, from any thread."""
        self._ids[next(self._counter) % LAST] = delivery_id

    def left(self) -> Left | None:
        """Return what the child has left, in the parent; None when it never was a worker."""
        name = self._memory[:NAME].rstrip(b"\0").decode()
        return Left(name, frozenset(self._ids) - {0}) if name else None

    def close(self) -> None:
        self._ids.release()
        self._memory.close()
