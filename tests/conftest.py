"""Fixtures: a bare app with Condor, its events manager, and the list in which jobs write that they ran."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor import travel

from tests.databases import KINDS
from tests.databases import drop_all
from tests.databases import new_database

SLOW_PLUGINS = "-pno:schemathesis -pno:hypothesispytest -pno:anyio"
"""Options for a pytest that a test starts; pyproject.toml has them for our own."""
MakeJob = Callable[[str], Callable[[Event[Any], Context], None]]


def pytest_configure() -> None:
    os.environ.setdefault("PYTEST_ADDOPTS", SLOW_PLUGINS)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets what it runs beside it ignore Ctrl-C


def pytest_xdist_auto_num_workers() -> int:
    """Run half as many tests again as there are processors at once: many wait for the processes that they test."""
    return max(2, (os.cpu_count() or 1) * 3 // 2)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "postgresql" in item.name:
            item.add_marker(pytest.mark.postgresql)


def pytest_sessionfinish() -> None:
    drop_all()


@pytest.fixture(autouse=True)
def no_timer_outlives_its_test() -> Iterator[None]:
    """What a timer of one test writes to the log is not read by the next."""
    yield
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.cancel()
            thread.join()


@pytest.fixture(autouse=True)
def no_thread_outlives_its_test_in_the_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """What the threads of earlier tests still write to the log is not read by this one."""
    earlier = {*threading.enumerate()} - {threading.current_thread()}

    def is_of_this_test(record: logging.LogRecord) -> bool:
        return threading.current_thread() not in earlier

    caplog.handler.addFilter(is_of_this_test)
    yield
    caplog.handler.removeFilter(is_of_this_test)


@pytest.fixture
def half_past(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is half past an hour as the test begins: none ends while what is counted by the hour is written."""
    monkeypatch.setattr(travel, "ahead", -(time.time() + 1800) % 3600)


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    app = Flask("test", instance_path=str(tmp_path))
    app.testing = True
    Condor(app)
    return app


@pytest.fixture
def events_manager(app: Flask) -> EventsManager:
    manager: EventsManager = app.extensions["condor"]
    return manager


@pytest.fixture
def in_app(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


@pytest.fixture
def ran() -> list[Any]:
    return []


@pytest.fixture
def make_job(ran: list[Any]) -> MakeJob:
    def make(name: str) -> Callable[[Event[Any], Context], None]:
        def job(event: Event[Any], ctx: Context) -> None:
            ran.append(name)

        job.__name__ = job.__qualname__ = name
        return job

    return make


@pytest.fixture
def failing_job() -> Callable[[Event[Any], Context], None]:
    def failing(event: Event[Any], ctx: Context) -> None:
        raise ValueError("no such address")

    return failing


@pytest.fixture(params=KINDS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with new_database(request.param, tmp_path) as url:
        yield url


@pytest.fixture
def durable_manager(database_url: str) -> Iterator[EventsManager]:
    app = Flask("durable")
    app.testing = True
    app.config["CONDOR_DATABASE_URL"] = database_url
    Condor(app)
    manager: EventsManager = app.extensions["condor"]
    yield manager
    manager.log.engine.dispose()
