"""OpenTelemetry: which spans there are, what they hang on, and that an app without them pays nothing."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor import JobsFailed
from flask_condor import ctx as current
from flask_condor.errors import CondorError
from flask_condor.errors import PayloadNotSerializable
from flask_condor.instrumentation.otel import instrument
from flask_condor.job import Run
from flask_condor.models import events
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from opentelemetry.trace import StatusCode
from sqlalchemy import select

from tests.apps import traced
from tests.conftest import MakeJob
from tests.servers import ROOT


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter: InMemorySpanExporter) -> TracerProvider:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider


@pytest.fixture
def traced_app(app: Flask, provider: TracerProvider) -> Flask:
    instrument(app, tracer_provider=provider)
    return app


def tree(exporter: InMemorySpanExporter) -> dict[str, str | None]:
    """The name of each span, with that of its parent."""
    spans = exporter.get_finished_spans()
    names = {span.context.span_id: span.name for span in spans if span.context}
    return {span.name: names[span.parent.span_id] if span.parent else None for span in spans}


def span_named(exporter: InMemorySpanExporter, name: str) -> ReadableSpan:
    (found,) = [span for span in exporter.get_finished_spans() if span.name == name]
    return found


# --- jobs in the process


def test_a_fire_has_a_producer_span_and_each_job_a_consumer_span_below_it(
    traced_app: Flask, events_manager: EventsManager, make_job: MakeJob, exporter: InMemorySpanExporter
) -> None:
    events_manager.register("user.registered", make_job("one"), make_job("other"))

    with traced_app.test_request_context():
        event = current.events.fire(Event("user.registered"))

    one, other, fire = exporter.get_finished_spans()
    conventions = {
        "messaging.system": "condor",
        "messaging.destination.name": "user.registered",
        "messaging.message.id": event.id,
    }
    assert (fire.name, fire.kind, fire.parent) == ("publish user.registered", SpanKind.PRODUCER, None)
    assert fire.attributes == conventions | {"messaging.operation.name": "publish", "messaging.operation.type": "send"}
    for span, job in ((one, "one"), (other, "other")):
        assert (span.name, span.kind) == ("process user.registered", SpanKind.CONSUMER)
        assert span.parent and fire.context and span.parent.span_id == fire.context.span_id
        assert span.attributes == conventions | {
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "condor.job": f"tests.conftest:{job}",
        }
        assert span.links == ()


@pytest.mark.parametrize("way", ["fire", "emit", "fire_async", "emit_async", "manager"])
def test_every_way_to_fire_is_traced_also_on_a_later_fire(
    traced_app: Flask, events_manager: EventsManager, make_job: MakeJob, exporter: InMemorySpanExporter, way: str
) -> None:
    events_manager.register("x", make_job("one"))
    fires: dict[str, Any] = {
        "fire": lambda: current.events.fire(Event("x")),
        "emit": lambda: current.events.emit("x"),
        "fire_async": lambda: asyncio.run(current.events.fire_async(Event("x"))),
        "emit_async": lambda: asyncio.run(current.events.emit_async("x")),
        "manager": lambda: events_manager.fire(Event("x")),
    }

    with traced_app.test_request_context():
        for _ in range(2):
            fires[way]()

    assert [span.name for span in exporter.get_finished_spans()] == ["process x", "publish x"] * 2
    assert tree(exporter) == {"publish x": None, "process x": "publish x"}


def test_an_event_that_a_job_fires_hangs_below_that_job(
    traced_app: Flask, events_manager: EventsManager, make_job: MakeJob, exporter: InMemorySpanExporter
) -> None:
    def upload(event: Event[Any], ctx: Context) -> None:
        ctx.events.fire(Event("done"))

    events_manager.register("uploaded", upload)
    events_manager.register("done", make_job("last"))

    nested = events_manager.fire(Event("uploaded"))

    assert tree(exporter) == {
        "publish uploaded": None,
        "process uploaded": "publish uploaded",
        "publish done": "process uploaded",
        "process done": "publish done",
    }
    assert nested.depth == 1


def test_the_app_s_own_span_is_around_the_fire(
    traced_app: Flask, events_manager: EventsManager, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    events_manager.register("x")

    with provider.get_tracer("mine").start_as_current_span("GET /"):
        events_manager.fire(Event("x"))

    assert tree(exporter) == {"publish x": "GET /", "GET /": None}


def test_async_jobs_are_traced_while_they_are_awaited(
    traced_app: Flask, events_manager: EventsManager, make_job: MakeJob, exporter: InMemorySpanExporter
) -> None:
    async def wait(event: Event[Any], ctx: Context) -> None:
        await asyncio.sleep(0)
        ctx.events.emit("inner")

    events_manager.register("x", wait)
    events_manager.register("inner", make_job("one"))

    asyncio.run(events_manager.fire_async(Event("x")))
    events_manager.fire(Event("x"))

    assert [span.name for span in exporter.get_finished_spans()] == [
        "process inner",
        "publish inner",
        "process x",
        "publish x",
    ] * 2
    assert tree(exporter)["publish inner"] == "process x"


def test_a_job_after_the_response_hangs_below_its_fire_and_its_wait_is_no_run(
    traced_app: Flask, events_manager: EventsManager, make_job: MakeJob, exporter: InMemorySpanExporter
) -> None:
    events_manager.register("x", make_job("later"), run="after_response")

    @traced_app.get("/")
    def view() -> str:
        current.events.fire(Event("x"))
        assert [span.name for span in exporter.get_finished_spans()] == ["publish x"]
        return ""

    assert traced_app.test_client().get("/").status_code == 200

    assert [span.name for span in exporter.get_finished_spans()] == ["publish x", "process x"]
    assert tree(exporter) == {"publish x": None, "process x": "publish x"}
    assert span_named(exporter, "process x").attributes["condor.job"] == "tests.conftest:later"  # type: ignore[index]  # it has some


@pytest.mark.parametrize("run", ["after_response", "after_commit"])
def test_a_job_that_needs_not_wait_has_one_span(
    traced_app: Flask, events_manager: EventsManager, make_job: MakeJob, exporter: InMemorySpanExporter, run: Run
) -> None:
    events_manager.register("x", make_job("later"), run=run)

    events_manager.fire(Event("x"))

    assert [span.name for span in exporter.get_finished_spans()] == ["process x", "publish x"]


def test_the_error_of_a_job_is_on_its_span(
    traced_app: Flask, events_manager: EventsManager, failing_job: Any, exporter: InMemorySpanExporter
) -> None:
    events_manager.register("x", failing_job)

    with pytest.raises(JobsFailed):
        events_manager.fire(Event("x"))

    for name, error in (("process x", "ValueError"), ("publish x", "flask_condor.errors.JobsFailed")):
        span = span_named(exporter, name)
        assert span.status.status_code is StatusCode.ERROR
        assert [told.attributes["exception.type"] for told in span.events if told.attributes] == [error]


def test_a_refused_fire_has_a_span_that_says_so(
    traced_app: Flask, events_manager: EventsManager, make_job: MakeJob, exporter: InMemorySpanExporter
) -> None:
    events_manager.register("x", make_job("one"), run="queued")

    with pytest.raises(PayloadNotSerializable):
        events_manager.fire(Event("x", object()))

    assert span_named(exporter, "publish x").status.status_code is StatusCode.ERROR


def test_a_disabled_fire_has_none(
    traced_app: Flask, events_manager: EventsManager, make_job: MakeJob, exporter: InMemorySpanExporter
) -> None:
    events_manager.register("x", make_job("one"))

    with events_manager.disable():
        events_manager.fire(Event("x"))

    assert exporter.get_finished_spans() == ()


def test_what_jobs_see_and_what_is_recorded_is_the_same_with_spans(
    traced_app: Flask, events_manager: EventsManager, failing_job: Any, caplog: pytest.LogCaptureFixture
) -> None:
    seen = []

    def outer(event: Event[Any], ctx: Context) -> None:
        ctx.events.fire(Event("inner"))

    def inner(event: Event[Any], ctx: Context) -> None:
        seen.append((event.source, event.depth, event.cause.job if event.cause else None))

    events_manager.register("outer", outer, failing_job)
    events_manager.register("inner", inner)

    event = Event("outer")
    with traced_app.test_request_context(), pytest.raises(JobsFailed, match=r"failing \(ValueError.*done: outer"):
        current.events.fire(event)

    assert seen == [("job", 2, "outer")]
    assert (event.source, event.cause, event.depth) == ("handler", None, 1)
    assert vars(caplog.records[0])["job"] == "tests.conftest:failing_job.<locals>.failing"


# --- across the queue


@pytest.fixture
def shop(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EventsManager]:
    monkeypatch.setenv("CONDOR_DATABASE_URL", database_url)
    monkeypatch.setenv(traced.SPANS, str(tmp_path / "spans"))
    manager: EventsManager = traced.create_app().extensions["condor"]
    yield manager
    manager.log.engine.dispose()


def run_worker_once() -> None:
    command = [sys.executable, "-m", "flask", "--app", "tests.apps.traced", "events", "worker", "--once"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)


def spans_of(folder: Path) -> dict[str, Any]:
    spans = [json.loads(line) for line in (folder / "spans").read_text().splitlines()]
    return {span["name"]: span for span in spans}


def test_a_worker_s_span_is_linked_to_the_fire_in_another_process(shop: EventsManager, tmp_path: Path) -> None:
    event = shop.emit("order.paid", {"id": 1})
    shop.emit("order.failed")
    run_worker_once()

    spans = spans_of(tmp_path)
    fire, run = spans["publish order.paid"], spans["process order.paid"]
    with shop.log.read() as connection:
        stored = connection.scalar(select(events.c.trace).where(events.c.id == event.id))
    ids = fire["context"]["trace_id"], fire["context"]["span_id"]
    assert stored is not None and stored.startswith(f"00-{ids[0][2:]}-{ids[1][2:]}-0")
    assert [(link["context"]["trace_id"], link["context"]["span_id"]) for link in run["links"]] == [ids]
    assert run["parent_id"] is None and run["context"]["trace_id"] != ids[0]
    assert run["kind"] == "SpanKind.CONSUMER"
    assert run["attributes"]["condor.job"] == "tests.apps.traced:pay"
    assert (run["attributes"]["condor.delivery_id"], run["attributes"]["condor.attempt"]) == (1, 1)
    assert run["attributes"]["messaging.message.id"] == event.id

    nested, packed = spans["publish order.shipped"], spans["process order.shipped"]
    assert (nested["parent_id"], packed["parent_id"]) == (run["context"]["span_id"], nested["context"]["span_id"])
    assert "condor.attempt" not in packed["attributes"] and packed["links"] == []

    failed = spans["process order.failed"]
    assert failed["status"]["status_code"] == "ERROR"
    assert failed["events"][0]["attributes"]["exception.type"] == "ValueError"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_event_of_an_app_without_traces_is_run_by_one_with_them(shop: EventsManager, tmp_path: Path) -> None:
    plain = Flask("plain")
    plain.config["CONDOR_DATABASE_URL"] = shop.config.database_url
    Condor(plain)
    manager: EventsManager = plain.extensions["condor"]
    manager.register("order.paid", traced.pay, run="queued")
    manager.emit("order.paid")
    run_worker_once()

    assert spans_of(tmp_path)["process order.paid"]["links"] == []
    manager.log.engine.dispose()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_replay_is_linked_to_the_span_that_asked_for_it(shop: EventsManager, tmp_path: Path) -> None:
    event = shop.emit("order.paid")
    with TracerProvider().get_tracer("mine").start_as_current_span("POST /replay") as asking:
        replayed = shop.replay(event.id)
    run_worker_once()

    spans = [json.loads(line) for line in (tmp_path / "spans").read_text().splitlines()]
    (link,) = [
        span["links"][0]["context"]["span_id"]
        for span in spans
        if span["name"] == "process order.paid" and span["attributes"]["messaging.message.id"] == replayed.id
    ]
    assert link == f"0x{asking.get_span_context().span_id:016x}"


# --- what it costs where it is not used


def test_an_app_without_it_imports_nothing_of_it() -> None:
    code = """
import sys
from flask import Flask
from flask_condor import Condor, Event, ctx
app = Flask("plain")
Condor(app)
manager = app.extensions["condor"]
manager.register("x", lambda event, ctx: None)
with app.app_context():
    ctx.events.fire(Event("x"))
print(*{name.partition(".")[0] for name in sys.modules} & {"opentelemetry", "prometheus_client"})
print("x" in manager.registry.signals.plans)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split("\n")[:2] == ["", "True"]


def test_an_app_without_condor_is_refused() -> None:
    with pytest.raises(CondorError, match="app 'bare' has no Condor"):
        instrument(Flask("bare"))
