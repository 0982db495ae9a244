"""The plans of PostgreSQL: what a page reads is read plainly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask_condor.history import reading
from sqlalchemy import text

from tests.dashboard.apps import make_app
from tests.dashboard.apps import manager_of
from tests.databases import new_database

SHOWN = text("SELECT current_setting('jit'), current_setting('max_parallel_workers_per_gather')")


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    with new_database("postgresql", tmp_path) as url:
        app = make_app(tmp_path, authorize=lambda action, request: True, CONDOR_DATABASE_URL=url)
        with manager_of(app).log.begin():
            pass
        yield app
        manager_of(app).log.engine.dispose()


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
