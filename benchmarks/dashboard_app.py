"""The app of dashboard.py: the events and jobs of dashboard_rows.py, and a dashboard that everybody may see."""

from __future__ import annotations

import os
from typing import Any

from flask import Flask
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event


def job(event: Event[Any], ctx: Context) -> None:
    """Do nothing."""


def create_app(url: str | None = None) -> Flask:
    app = Flask(__name__)
    app.config["CONDOR_DATABASE_URL"] = url or os.environ["DATABASE"]
    Condor(app, authorize=lambda action, request: True)
    for number in range(50):
        app.extensions["condor"].register(f"thing.happened{number}", job, run="queued")
    return app
