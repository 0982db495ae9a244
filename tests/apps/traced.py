"""An app whose spans are written to a file, one JSON object a line, by whatever process of it makes them."""

from __future__ import annotations

import io
import os
from typing import Any

from flask import Flask
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event
from flask_condor import resolve_events_manager
from flask_condor.instrumentation.otel import instrument
from flask_condor.retry import Retry
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

SPANS = "SPANS"
"""The environment variable that names the file."""


def pay(event: Event[Any], ctx: Context) -> None:
    ctx.events.emit("order.shipped", event.payload)


def fail(event: Event[Any], ctx: Context) -> None:
    raise ValueError("no such address")


class Lines(io.StringIO):
    """Appends each text that is written to the file."""

    def write(self, text: str) -> int:
        with open(os.environ[SPANS], "a") as spans:
            return spans.write(text)


def register_events() -> None:
    manager = resolve_events_manager()
    manager.register("order.paid", pay, run="queued")
    manager.register("order.failed", fail, run="queued", retry=Retry(max_attempts=1))
    manager.register("order.shipped", pack)


def pack(event: Event[Any], ctx: Context) -> None:
    pass


def create_app() -> Flask:
    app = Flask(__name__)
    app.config["CONDOR_DATABASE_URL"] = os.environ["CONDOR_DATABASE_URL"]
    Condor(app, register_events=register_events)
    provider = TracerProvider()
    exporter = ConsoleSpanExporter(out=Lines(), formatter=lambda span: span.to_json(indent=None) + "\n")
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrument(app, tracer_provider=provider)
    return app
