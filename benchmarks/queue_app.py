"""One queued job that does nothing, for benchmarks/throughput.py and latency.py: Flask-Condor, huey or procrastinate.

``DATABASE`` names the SQLite file or the PostgreSQL URL, and ``WITNESS`` a file in which the job notes when it began.
"""

from __future__ import annotations

import os
import time
from typing import Any

from flask import Flask
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event
from flask_condor import resolve_events_manager

NAME = "thing.happened"


def note(event: Event[Any], ctx: Context) -> None:
    """Do nothing, or write down when it began."""
    if "WITNESS" in os.environ:
        with open(os.environ["WITNESS"], "a") as witness:
            witness.write(f"{event.payload['number']} {time.time()}\n")


def register_events() -> None:
    resolve_events_manager().register(NAME, note, run="queued")


def create_app() -> Flask:
    app = Flask(__name__)
    app.config["CONDOR_DATABASE_URL"] = os.environ["DATABASE"]
    Condor(app, register_events=register_events)
    return app
