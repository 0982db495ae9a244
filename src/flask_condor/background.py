"""The background: what writes to the log in threads, closed before the process ends and kept whole at forks."""

from __future__ import annotations

import atexit
import os
import sys
import time
from abc import ABC
from abc import abstractmethod
from threading import Lock
from threading import Thread
from threading import get_ident
from weakref import WeakSet


class Writer(ABC):
    """Has something to write that no request waits for; a thread does so, which each process starts when it first has.

    What is added, and the thread, are changed with ``_adding`` held; ``_writing`` is held during a write.
    """

    name: str
    """That of the thread."""
    interval: float
    """Seconds between two writes: so much may be lost when the process is killed."""
    longest_rest: float
    """Seconds between two tries while the database is away."""
    idle: float
    """Seconds without anything to write after which the thread ends, until there is."""

    def __init__(self) -> None:
        self.forget()
        WRITERS.add(self)

    def forget(self) -> None:
        """Begin anew, with nothing that waits: in a fork that is left to the parent."""
        self._adding = Lock()
        self._writing = Lock()
        self._thread: Thread | None = None
        self._pauser = 0
        self._closes_at_exit = False

    @property
    @abstractmethod
    def is_waiting(self) -> bool:
        """Whether anything waits to be written."""

    @abstractmethod
    def flush(self, timeout: float = 5.0) -> bool:
        """Write what waits, in this thread; return whether all of it was written."""

    @abstractmethod
    def close(self) -> None:
        """Write what can be written before the process ends."""

    def pause(self) -> None:
        """Hold back the next write, once the one in progress is done, or after a second."""
        if self._writing.acquire(timeout=1.0):
            self._pauser = get_ident()

    def resume(self) -> None:
        """Let writes go on that this thread has paused."""
        if self._pauser == get_ident():
            self._pauser = 0
            self._writing.release()

    def _start_thread(self) -> None:
        thread = Thread(target=self._keep_writing, name=self.name, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return  # the interpreter is ending, or is out of threads: what comes next tries again, or the exit writes
        self._thread = thread
        if not self._closes_at_exit:
            self._closes_at_exit = True
            close_at_exit()

    def _keep_writing(self) -> None:
        rest, busy_at = self.interval, time.monotonic()
        while True:
            time.sleep(rest)
            if self.is_waiting:
                busy_at = time.monotonic()
            rest = self.interval if self.flush() else min(2 * rest, self.longest_rest)
            with self._adding:
                if time.monotonic() - busy_at >= self.idle and not self.is_waiting:
                    self._thread = None
                    return


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
