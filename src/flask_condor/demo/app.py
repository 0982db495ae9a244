"""The app of the demo: the shop with its hour of history, in a database of its own, in debug mode."""

from __future__ import annotations

import time
import typing as t
from pathlib import Path

from flask import Flask

from ..extension import Condor
from .hour import Hour
from .shop import register_shop

if t.TYPE_CHECKING:
    from ..manager import EventsManager


def create_demo(folder: Path) -> Flask:
    """Return the shop's app, its event log in *folder* filled with the hour that ends now; the dashboard is open."""
    app = Flask("shop", instance_path=str(folder), root_path=str(Path(__file__).parent))
    app.config["DEBUG"] = True
    app.config["CONDOR_DATABASE_URL"] = f"sqlite:///{folder / 'shop.db'}"
    Condor(app, register_events=lambda: register_shop(app.extensions["condor"]))
    manager: EventsManager = app.extensions["condor"]
    with manager.log.begin() as connection:
        Hour(manager, time.time()).write(connection)
    return app
