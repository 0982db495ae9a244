"""Presence: which workers are written down, and what one that ends leaves to others it tells without locking them."""

from __future__ import annotations

import time
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version
from typing import Any

import pytest
from flask import Flask
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor.bus import bus_of
from flask_condor.models import workers
from flask_condor.plan import Plan
from flask_condor.presence import Presence
from flask_condor.presence import sign_in
from flask_condor.sqlite_file import READING
from flask_condor.worker import Worker
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy import insert
from sqlalchemy import select

DAY = 86_400.0


def job(event: Event[Any], ctx: Context) -> None: ...


def test_a_worker_that_signs_in_forgets_those_not_seen_for_a_day(durable_manager: EventsManager) -> None:
    row = {"host": "h", "pid": 1, "threads": 1, "queues": "[]", "started_at": 0.0}
    here = Presence.here(1, ())
    with durable_manager.log.begin() as connection:
        for id, age in (("gone", 1.1), ("away", 0.9)):
            gone = row | {"id": id, "seen_at": time.time() - age * DAY, "bus": bus_of(connection)}
            connection.execute(insert(workers).values(gone))

        sign_in(connection, here)

        assert set(connection.scalars(select(workers.c.id))) == {"away", here.id}


def test_a_worker_is_written_down_with_the_version_that_it_runs(durable_manager: EventsManager) -> None:
    with durable_manager.log.begin() as connection:
        sign_in(connection, Presence.here(1, ()))

        assert connection.scalars(select(workers.c.version)).all() == [version("Flask-Condor")]


def test_from_sources_that_are_not_installed_it_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(distribution: str) -> str:
        raise PackageNotFoundError(distribution)

    monkeypatch.setattr("flask_condor.presence.version", missing)

    assert Presence.here(1, ()).version is None


def test_what_a_worker_does_not_know_is_looked_for_in_a_transaction_that_only_reads(
    durable_manager: EventsManager, caplog: pytest.LogCaptureFixture
) -> None:
    other = Flask("other")
    other.config["CONDOR_DATABASE_URL"] = durable_manager.config.database_url
    Condor(other)
    stranger: EventsManager = other.extensions["condor"]
    stranger.register("strange", job, run="queued")
    stranger.fire(Event("strange"))
    looked: list[bool] = []

    @sqlalchemy_event.listens_for(durable_manager.log.engine, "before_cursor_execute")
    def note(connection: Any, _: Any, statement: str, *__: Any) -> None:
        if "job NOT IN" in statement:
            looked.append(connection.get_execution_options().get(READING, False))

    worker = Worker(durable_manager, Plan(once=True, replaceable=False))
    worker.open()
    worker.run()

    assert looked and all(looked)
    assert caplog.text.count("job tests.test_presence:job is not registered for event strange here") == 1
    stranger.log.engine.dispose()
