from __future__ import annotations

from flask import Flask
from flask_condor import Condor

from .handlers import orders
from .handlers import users
from .register_events import register_events


def create_app() -> Flask:
    app = Flask(__name__)
    app.config.from_prefixed_env()
    Condor(app, register_events=register_events)
    app.register_blueprint(users.bp)
    app.register_blueprint(orders.bp)
    return app
