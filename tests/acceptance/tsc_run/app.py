from __future__ import annotations

import tomllib

from flask import Flask
from flask_condor import Condor

from .handlers import users
from .handlers import webhooks


def create_app() -> Flask:
    app = Flask(__name__)
    app.config.from_file("tsc-run.toml", load=tomllib.load, text=False)
    app.config.from_prefixed_env()
    Condor(app)
    app.register_blueprint(users.bp)
    app.register_blueprint(webhooks.bp)
    return app
