"""Fixtures of the tests of the dashboard."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask
from flask_condor import Condor
from flask_condor import EventsManager


@pytest.fixture
def app_with_a_file(tmp_path: Path) -> EventsManager:
    """The manager of an app whose log is kept in SQLite."""
    app = Flask("one file")
    app.config["CONDOR_DATABASE_URL"] = f"sqlite:///{tmp_path / 'condor.db'}"
    Condor(app)
    manager: EventsManager = app.extensions["condor"]
    return manager
