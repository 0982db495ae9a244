"""The sample service: sign up, change a password, upload texts to be indexed. `flask run` serves it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask
from flask_condor import Condor

import handlers
import models
from register_events import register_events


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    app = Flask(__name__, instance_relative_config=True)
    app.config["DATABASE_URL"] = f"sqlite:///{Path(app.instance_path, 'app.db')}"
    app.config["OUTBOX"] = Path(app.instance_path, "outbox")
    app.config["MAX_CONTENT_LENGTH"] = 1024 * 1024
    app.config.from_prefixed_env()
    app.config.from_mapping(config or {})
    app.config.setdefault("CONDOR_DATABASE_URL", app.config["DATABASE_URL"])

    Condor(app, register_events=register_events)
    models.init_app(app)
    handlers.init_app(app)
    return app
