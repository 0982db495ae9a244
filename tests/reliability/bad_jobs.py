"""Jobs that do what jobs must not: each of them ends badly, or leaves its worker in a state of its own making."""

from __future__ import annotations

import ctypes
import locale
import os
import resource
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from flask import current_app
from flask_condor import Context
from flask_condor import Event
from sqlalchemy import text

from tests.reliability.witness import note

BadJob = Callable[[], object]


class Unspeakable(Exception):
    """An error that cannot be pickled, nor told."""

    def __init__(self) -> None:
        super().__init__(threading.Lock())

    def __str__(self) -> str:
        raise RuntimeError("this error fails at telling itself")


class Cancelled(BaseException):
    pass


def raise_it(error: Callable[[], BaseException]) -> BadJob:
    def bad() -> None:
        raise error()

    return bad


def recurse() -> None:
    recurse()


def exhaust_memory() -> None:
    """Allocate more than the process may have."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, limits[1]))
    try:
        bytearray(16 << 30)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def fork_and_return() -> None:
    """Fork a child that returns from the job as its parent does."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)


def leave_thread() -> None:
    threading.Thread(target=time.sleep, args=(30,), daemon=True).start()


def loop() -> None:
    while True:
        pass


def sleep_in_c() -> None:
    """Hold the interpreter's lock while the C library sleeps: no other thread of the process can run."""
    ctypes.PyDLL(None).sleep(600)


def close_files() -> None:
    os.closerange(0, 256)


def change_process() -> None:
    """Change what belongs to the whole process: its folder, its signal handling, its locale."""
    os.chdir("/")
    os.umask(0o077)
    locale.setlocale(locale.LC_ALL, "C")
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def leave_transaction_open() -> None:
    """Leave a writing transaction open in the session that the app has for this job."""
    session = current_app.extensions["sqlalchemy"].session
    session.execute(text("INSERT INTO orders (id, shipped) VALUES (:id, 0)"), {"id": f"left open by {time.time_ns()}"})


KINDS: dict[str, BadJob] = {
    "Exception": raise_it(lambda: Exception("bad")),
    "BaseException": raise_it(Cancelled),
    "SystemExit": raise_it(lambda: SystemExit(3)),
    "KeyboardInterrupt": raise_it(KeyboardInterrupt),
    "RecursionError": recurse,
    "MemoryError": exhaust_memory,
    "unspeakable": raise_it(Unspeakable),
    "enormous text": raise_it(lambda: ValueError("\0é" * 10_000_000)),
    "_exit": lambda: os._exit(7),
    "SIGKILL": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "segfault": lambda: ctypes.string_at(0),
    "fork": fork_and_return,
    "thread left": leave_thread,
    "endless loop": loop,
    "sleep in C": sleep_in_c,
    "closes files": close_files,
    "changes process": change_process,
    "transaction left open": leave_transaction_open,
}
DONE = {"fork", "thread left", "changes process", "transaction left open"}
"""The kinds that end well all the same."""


def bad(event: Event[Any], ctx: Context) -> None:
    """Do what the payload names."""
    note(event.id, ctx.delivery.attempt if ctx.delivery else 0, "begun")
    KINDS[event.payload["kind"]]()
