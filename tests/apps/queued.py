"""An app whose queued jobs do all that a job should not; each first tells a witness that it runs."""

from __future__ import annotations

import ctypes
import os
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

from flask import Flask
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event
from flask_condor import resolve_events_manager
from flask_condor.retry import Retry

KIND = "bad."
WITNESS = "WITNESS"
"""The environment variable that names the file of the witness: a line "event attempt pid" for each run."""
AT_ONCE = Retry(max_attempts=3, wait=0)


def witness(event: Event[Any], ctx: Context) -> None:
    """Write one line with a single write, which other processes cannot split."""
    attempt = ctx.delivery.attempt if ctx.delivery else 0
    line = f"{event.name} {event.payload} {attempt} {os.getpid()}\n".encode()
    file = os.open(os.environ[WITNESS], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, line)
    os.close(file)


def ok(event: Event[Any], ctx: Context) -> None:
    witness(event, ctx)


def answer(event: Event[Any], ctx: Context) -> dict[str, bool]:
    witness(event, ctx)
    return {"success": True}


def sleep(event: Event[Any], ctx: Context) -> None:
    witness(event, ctx)
    time.sleep(float(event.payload))


def sleep_the_first_time(event: Event[Any], ctx: Context) -> None:
    witness(event, ctx)
    if ctx.delivery is None or ctx.delivery.attempt == 1:
        time.sleep(float(event.payload))


class Gone(BaseException):
    pass


class Unprintable(Exception):
    def __str__(self) -> str:
        raise SystemExit("no text")


def raise_exception() -> None:
    raise ValueError("no such\naddress \0 \ud800")


def raise_base_exception() -> None:
    raise Gone


def raise_system_exit() -> None:
    raise SystemExit(0)


def raise_keyboard_interrupt() -> None:
    raise KeyboardInterrupt


def recurse() -> None:
    recurse()


def raise_memory_error() -> None:
    bytearray(2**62)


def raise_enormous() -> None:
    raise ValueError("x" * 10_000_000)


def raise_unprintable() -> None:
    raise Unprintable


def end_process() -> None:
    os._exit(3)


def kill_process() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def crash() -> None:
    ctypes.string_at(0)


def fork() -> None:
    if os.fork():
        time.sleep(0.2)


def leave_thread() -> None:
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()


def hang() -> None:
    while True:
        time.sleep(0.01)


def hang_in_c() -> None:
    ctypes.PyDLL(None).sleep(600)


def close_files() -> None:
    os.closerange(0, 256)


def change_directory() -> None:
    os.chdir("/")


def change_handlers() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def run_child() -> None:
    subprocess.run(["true"], check=True)


left_open: list[sqlite3.Connection] = []


def leave_transaction() -> None:
    connection = sqlite3.connect(os.environ["OTHER_DATABASE"], check_same_thread=False)
    connection.execute("BEGIN IMMEDIATE")
    left_open.append(connection)


RETURN = (leave_thread, change_directory, run_child, fork)
"""Kinds that end well."""
FAIL = (
    raise_exception,
    raise_base_exception,
    raise_system_exit,
    raise_keyboard_interrupt,
    recurse,
    raise_memory_error,
    raise_enormous,
    raise_unprintable,
    change_handlers,
)
"""Kinds that fail, each time."""
KILL = (end_process, kill_process, crash, close_files)
"""Kinds that end their process."""


def named(kind: Callable[[], object]) -> str:
    return KIND + kind.__name__


def job_of(kind: Callable[[], object]) -> Callable[[Event[Any], Context], object]:
    def job(event: Event[Any], ctx: Context) -> object:
        witness(event, ctx)
        return kind()

    job.__qualname__ = f"job_of_{kind.__name__}"
    return job


def register_events() -> None:
    manager = resolve_events_manager()
    manager.register("ok", ok, run="queued")
    manager.register("answer", answer, run="queued")
    manager.register("sleep", sleep, run="queued")
    manager.register("sleep.once", sleep_the_first_time, run="queued")
    manager.register("sleep.never.again", sleep, run="queued", at_most_once=True)
    manager.register("urgent", ok, run="queued", priority=10)
    manager.register("hang", job_of(hang), run="queued", retry=AT_ONCE, timeout=2)
    manager.register("hang.in.c", job_of(hang_in_c), run="queued", retry=AT_ONCE)
    for kind in RETURN + FAIL + KILL:
        manager.register(named(kind), job_of(kind), run="queued", retry=AT_ONCE)


def create_app() -> Flask:
    app = Flask("queued")
    app.config["CONDOR_DATABASE_URL"] = os.environ["CONDOR_DATABASE_URL"]
    Condor(app, register_events=register_events)

    @app.get("/")
    def index() -> str:
        return "served"

    return app
