"""An app that serves its metrics beside its views, as docs/how-to/observe.md shows it."""

from __future__ import annotations

import os
from typing import Any

from flask import Flask
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event
from flask_condor import resolve_events_manager
from flask_condor.instrumentation.prometheus import CondorCollector
from flask_condor.retry import Retry
from prometheus_client import CollectorRegistry
from prometheus_client import make_wsgi_app
from werkzeug.middleware.dispatcher import DispatcherMiddleware


def work(event: Event[Any], ctx: Context) -> None:
    if event.payload == "fail":
        raise ValueError("as asked")


def register_events() -> None:
    manager = resolve_events_manager()
    manager.register("order.paid", work, run="queued", retry=Retry(max_attempts=2, wait=0))
    manager.register("seen", work)


def create_app() -> Flask:
    app = Flask(__name__)
    app.config["CONDOR_DATABASE_URL"] = os.environ["CONDOR_DATABASE_URL"]
    Condor(app, register_events=register_events)

    @app.get("/pid")
    def pid() -> str:
        return str(os.getpid())

    @app.get("/seen")
    def seen() -> str:
        resolve_events_manager().emit("seen")
        return str(os.getpid())

    registry = CollectorRegistry()
    registry.register(CondorCollector(app))
    metrics = make_wsgi_app(registry)

    def tell_pid(environ: Any, start_response: Any) -> Any:
        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            return start_response(status, [*headers, ("X-Pid", str(os.getpid()))], *rest)

        return metrics(environ, start)

    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/metrics": tell_pid})  # type: ignore[method-assign]  # as Flask's docs add middleware
    return app
