"""Forks: nothing made before one is shared after it."""

from __future__ import annotations

import os
import time
from collections import Counter
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventsManager
from flask_sqlalchemy import SQLAlchemy

from tests.databases import accepted
from tests.servers import gunicorn
from tests.test_isolation import counts_of_each_worker


def sockets_and_files_of(pid: int) -> set[str]:
    """The open sockets and regular files of a process, by inode; its log and terminal aside."""
    targets = {os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.exists()}
    return {target for target in targets if target.startswith("socket:") or target.endswith((".db", "-wal", "-shm"))}


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["each worker loads", "preloaded"])
def test_workers_share_only_the_listening_socket_and_never_an_id(preload: tuple[str, ...]) -> None:
    options = ("--workers=2", "--worker-class=gthread", "--threads=4", *preload)

    with gunicorn("tests.apps.isolation:app", *options) as server:
        answers = server.get_all(["/id"] * 1_000)
        counts = counts_of_each_worker(server)
        first, second = server.worker_pids()
        shared = sockets_and_files_of(first) & sockets_and_files_of(second)
        listening = sockets_and_files_of(server.pid)

    ids = [body for _, body in answers]
    assert {status for status, _ in answers} == {200}
    assert len(set(ids)) == 1_000
    assert {count["parent's id"] for count in counts}.isdisjoint(ids)
    assert len({count["parent's id"] for count in counts}) == (1 if preload else 2)
    assert shared <= listening


def make_ids(count: int) -> list[str]:
    return [Event("x").id for _ in range(count)]


def test_a_million_ids_made_over_8_forks_do_not_repeat() -> None:
    make_ids(1)

    with get_context("fork").Pool(8) as pool:
        ids = pool.map(make_ids, [125_000] * 8, chunksize=1)

    counted = Counter(identifier for share in ids for identifier in share)
    assert len(counted) == 1_000_000


def never_run(event: Event[Any], ctx: Context) -> None:
    raise AssertionError("only a worker runs it")


def fire_in_child(manager: EventsManager, fires: int) -> None:
    """Fire, and end with 0; but with 1 at once when there is a connection of the parent's to be used."""
    pool: Any = manager.log.engine.pool
    if pool.checkedin():
        os._exit(1)
    for _ in range(fires):
        manager.fire(Event("x"))
    os._exit(0)


@pytest.mark.parametrize("engine", ["of the log", "of the app"])
def test_a_log_that_was_opened_before_a_fork_is_connected_to_anew_in_each_child(database_url: str, engine: str) -> None:
    app = Flask("test")
    if engine == "of the app":
        app.config["SQLALCHEMY_DATABASE_URI"] = database_url
        SQLAlchemy(app)
    else:
        app.config["CONDOR_DATABASE_URL"] = database_url
    Condor(app)
    manager: EventsManager = app.extensions["condor"]
    manager.register("x", never_run, run="queued")
    manager.fire(Event("x"))
    with manager.log.engine.connect() as connection:
        connection.info["made in"] = os.getpid()

    children = [get_context("fork").Process(target=fire_in_child, args=(manager, 25), daemon=True) for _ in range(4)]
    for child in children:
        child.start()
    for _ in range(25):
        manager.fire(Event("x"))
    deadline = time.monotonic() + 60
    for child in children:
        child.join(max(0, deadline - time.monotonic()))
        child.kill()
    with manager.log.engine.connect() as connection:
        assert connection.info["made in"] == os.getpid()

    assert [child.exitcode for child in children] == [0] * 4
    assert len(accepted(manager)) == 126
    manager.log.engine.dispose()
