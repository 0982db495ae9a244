"""The plans of PostgreSQL: no statement of a page or of the upkeep keeps it from an index, and none is blown up."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_condor.history import reading
from flask_condor.models import failures
from flask_condor.rates import Finished
from flask_condor.rates import add_runs
from flask_condor.upkeep import begin_prune
from sqlalchemy import event
from sqlalchemy import insert
from sqlalchemy import text
from sqlalchemy.engine import Connection

from tests.dashboard.apps import make_app
from tests.dashboard.apps import manager_of
from tests.dashboard.test_overview import write_delivery
from tests.databases import new_database

CAST = re.compile(r"\((?:\w+\.)?(\w+)\)::(?:double precision|numeric)")
"""A column that is made another kind of number row by row, so that no index leads to it."""
SHOWN = text("SELECT current_setting('jit'), current_setting('max_parallel_workers_per_gather')")
PAGES = (
    "",
    "events?status=failed",
    "runs",
    "failures",
    "failures/1",
    "queue",
    "catalogue",
    "catalogue/user.registered",
)
OTHERS = ("ingress?tab=refused", "system", "system/doctor", "system/audit", "operations/new?kind=purge&count=1")

FAILURE = {"bus": "default", "job": "m:j", "error_type": "ValueError", "frame": "m:j", "key": "1", "runs": 1} | {
    "first_seen": 1.0,
    "last_seen": 1.0,
    "note": "",
}


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    with new_database("postgresql", tmp_path) as url:
        app = make_app(tmp_path, authorize=lambda action, request: True, CONDOR_DATABASE_URL=url)
        write_delivery(manager_of(app), "e1", state="dead", failure_id=1)
        with manager_of(app).log.begin() as connection:
            add_runs(connection, [Finished("a", "m:j", "done", time.time(), 0.1)])
            connection.execute(insert(failures).values(FAILURE))
        yield app
        manager_of(app).log.engine.dispose()


@contextmanager
def casts(app: Flask) -> Iterator[set[str]]:
    """Gather which columns are cast in the plans of what is asked for meanwhile."""
    found: set[str] = set()

    def explain(connection: Connection, _: object, statement: str, parameters: Any, *__: object) -> None:
        if statement.startswith(("SELECT", "DELETE", "WITH", "\n")):
            raw: Any = connection.connection.dbapi_connection
            plan = raw.execute("EXPLAIN " + statement, parameters).fetchall()
            found.update(CAST.findall("\n".join(row[0] for row in plan)))

    engine = manager_of(app).log.engine
    event.listen(engine, "before_cursor_execute", explain)
    yield found
    event.remove(engine, "before_cursor_execute", explain)


@pytest.mark.parametrize("page", [*PAGES, *OTHERS])
def test_a_page_compares_no_integer_with_a_float(app: Flask, page: str) -> None:
    app.test_client().get("/condor/")

    with casts(app) as found:
        response = app.test_client().get(f"/condor/{page}")

    assert response.status_code == 200 and found == set()


@pytest.mark.parametrize("page", ["", "failures", "failures/1", "queue", "catalogue", "ingress?tab=refused"])
@pytest.mark.parametrize("time", ["since=1970-01-01&until=1970-01-02", "since=2037-12-01&until=2037-12-31"])
def test_a_page_is_shown_of_any_time_that_its_columns_can_hold(app: Flask, page: str, time: str) -> None:
    response = app.test_client().get(f"/condor/{page}{'&' if '?' in page else '?'}{time}")

    assert response.status_code == 200


def test_the_upkeep_compares_no_integer_with_a_float(app: Flask) -> None:
    with casts(app) as found, manager_of(app).log.begin() as connection:
        begin_prune(connection, manager_of(app).config)

    assert found == set()


def test_what_a_page_reads_is_neither_compiled_nor_shared_out_and_what_follows_is_as_before(app: Flask) -> None:
    log = manager_of(app).log
    with log.read() as connection:
        before = tuple(connection.execute(SHOWN).one())

    with reading(log) as connection:
        meanwhile, raw = tuple(connection.execute(SHOWN).one()), connection.connection.dbapi_connection
    with log.read() as connection:
        afterwards, again = tuple(connection.execute(SHOWN).one()), connection.connection.dbapi_connection

    assert meanwhile == ("off", "0")
    assert afterwards == before != meanwhile
    assert again is raw
