"""The app under test, with a database and an outbox of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import create_app


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    database = f"sqlite:///{tmp_path / 'app.db'}"
    return create_app({"TESTING": True, "DATABASE_URL": database, "OUTBOX": tmp_path / "outbox"})


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()
