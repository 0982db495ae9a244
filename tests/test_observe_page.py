"""docs/how-to/observe.md: its examples run as they stand."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import flask_condor
import pytest
from flask import Flask
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

PAGE = (Path(__file__).parent.parent / "docs" / "how-to" / "observe.md").read_text()


def run_example(holding: str) -> dict[str, Any]:
    (code,) = [code for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if holding in code]
    namespace: dict[str, Any] = {"__name__": "example"}
    exec(code, namespace)
    return namespace


@contextmanager
def fresh_logging() -> Iterator[None]:
    """Leave Python's root logger without handlers for a while, as a program finds it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_the_formatter_writes_lines_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    app = Flask("example")
    app.config["CONDOR_JOB_ERRORS"] = "log"
    flask_condor.Condor(app)

    def job(event: Any, ctx: Any) -> None:
        raise ValueError("no such address")

    manager = app.extensions["condor"]
    manager.register("x", job)
    with fresh_logging():
        run_example("JsonFormatter")
        event = manager.emit("x")

    line = json.loads(capsys.readouterr().err)
    assert (line["action"], line["event_id"], line["level"]) == ("job_failed", event.id, "ERROR")
    assert line["message"] == "job job of event x failed: ValueError: no such address; it is not run again"
    assert "ValueError: no such address" in line["traceback"]


def test_the_app_serves_its_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    app = run_example("CondorCollector")["create_app"]()
    app.instance_path = str(tmp_path)

    page = app.test_client().get("/metrics").text

    assert "condor_up 1.0" in page
    metrics = set(re.findall(r"^# HELP (\w+)", page, re.MULTILINE))
    assert metrics == set(re.findall(r"^\| `(condor_\w+)` \|", PAGE, re.MULTILINE))


def test_the_app_is_traced() -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    app = run_example("import instrument")["create_app"](provider)

    app.extensions["condor"].emit("x")

    assert [span.name for span in exporter.get_finished_spans()] == ["publish x"]
