"""What the dashboard does is not felt by who fires (T37, whose times are those of benchmarks/dashboard.py)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from flask import Flask
from flask_condor.models import events
from sqlalchemy import func
from sqlalchemy import select
from sqlalchemy import text

from tests.dashboard.apps import ADA
from tests.dashboard.apps import USERS
from tests.dashboard.apps import make_app
from tests.dashboard.apps import manager_of

TIMES = 20


@pytest.fixture
def app(tmp_path: Path, database_url: str) -> Flask:
    return make_app(tmp_path, users=USERS, CONDOR_DATABASE_URL=database_url)


def fire(app: Flask, payload: object) -> None:
    with app.app_context():
        manager_of(app).emit("user.registered", payload)


def asked(app: Flask, path: str) -> int:
    return app.test_client().get(f"/condor{path}", auth=ADA).status_code


def kept(app: Flask) -> int:
    with manager_of(app).log.read() as connection:
        return connection.scalar(select(func.count()).select_from(events)) or 0


def test_queries_of_the_dashboard_that_fail_fail_no_fire(app: Flask) -> None:
    fire(app, {})
    with manager_of(app).log.begin() as connection:
        connection.execute(text("ALTER TABLE condor_rates RENAME TO condor_rates_of_another_time"))

    with ThreadPoolExecutor(2) as pool:
        polls = [pool.submit(asked, app, "/") for _ in range(TIMES)]
        for number in range(TIMES):
            fire(app, {"number": number})

    assert {poll.result() for poll in polls} == {503} and kept(app) == TIMES + 1
    manager_of(app).log.engine.dispose()


def test_payloads_of_a_mebibyte_are_listed_and_shown_beside_fires(app: Flask) -> None:
    for _ in range(4):
        fire(app, {"text": "x" * 2**20})

    with ThreadPoolExecutor(2) as pool:
        polls = [pool.submit(asked, app, path) for path in ("/events", "/events?payload=text:x", "/runs", "/")]
        for number in range(TIMES):
            fire(app, {"number": number})

    assert [poll.result() for poll in polls] == [200] * 4 and kept(app) == TIMES + 4
    manager_of(app).log.engine.dispose()
