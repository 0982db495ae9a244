"""Fixtures: a stand with a new database. Every test of this folder is marked: each takes the machine for a while."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url

from tests.databases import KINDS
from tests.databases import new_database
from tests.ports import kept_port
from tests.reliability.gate import Gate
from tests.reliability.stand import SEED
from tests.reliability.stand import Stand


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker("reliability")


@pytest.fixture(params=KINDS)
def database_kind(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture
def database_folder(tmp_path: Path) -> Path:
    """Where an SQLite file is made; a module that has another disk for it overrides this."""
    return tmp_path


@pytest.fixture
def stand(
    database_kind: str, database_folder: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stand]:
    """The product as it is, on SQLite and again on PostgreSQL."""
    with new_database(database_kind, database_folder) as url:
        stand = Stand(tmp_path, url, SEED, tmp_path_factory.getbasetemp())
        stand.make_tables()
        try:
            yield stand
        finally:
            stand.close()


@pytest.fixture
def gate(stand: Stand) -> Iterator[Gate | None]:
    """The way of the processes under test to their server, shut to begin with; the test itself has another.

    None for SQLite.
    """
    if stand.kind == "sqlite":
        yield None
        return
    url = make_url(stand.url)
    with kept_port() as port:
        through = url.set(host="127.0.0.1", port=port).render_as_string(hide_password=False)
        stand.environment["SHOP_SQLALCHEMY_DATABASE_URI"] = through
        gate = Gate(port, (url.host or "127.0.0.1", url.port or 5432))
        yield gate
        gate.shut()
