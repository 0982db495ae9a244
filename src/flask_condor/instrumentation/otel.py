"""OpenTelemetry: a producer span for each fire and a consumer span for each run of a job, linked across the queue."""

from __future__ import annotations

import typing as t
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import AbstractContextManager
from contextlib import contextmanager
from copy import copy
from functools import partial

import msgspec

from ..chain import Chain
from ..errors import CondorError
from ..errors import ExtraMissing
from ..event import Event
from ..event import Family
from ..event import Origin
from ..job import AsyncCall
from ..job import name_of
from ..job import path_of

try:
    from opentelemetry import trace
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError as missing:
    raise ExtraMissing("opentelemetry-api", "otel", "flask_condor.instrumentation.otel") from missing

if t.TYPE_CHECKING:
    from flask import Flask

    from ..chain import Failure
    from ..context import Delivery
    from ..manager import EventsManager
    from ..recording import Recording
    from ..signals import Call
    from ..signals import Plan

HEADER = "traceparent"
w3c = TraceContextTextMapPropagator()


def instrument(app: Flask, tracer_provider: trace.TracerProvider | None = None) -> None:
    """Trace every fire of *app*, and every run of a job, from now on.

    :param tracer_provider: where the spans go; the global provider when None.
    """
    manager: EventsManager | None = app.extensions.get("condor")
    if manager is None:
        raise CondorError(f"app {app.name!r} has no Condor: call Condor(app) before instrument(app).")
    tracer = trace.get_tracer("flask_condor", tracer_provider=tracer_provider)
    manager.registry.signals.trace(Spans(manager, tracer))


class Spans:
    """Makes the spans of one app."""

    def __init__(self, manager: EventsManager, tracer: trace.Tracer) -> None:
        self._manager = manager
        self._tracer = tracer

    @property
    def chain(self) -> Callable[..., Chain]:
        """What makes the chains of the app."""
        return partial(TracedChain, spans=self)

    def firing(self, event: object, inside: AbstractContextManager[object]) -> AbstractContextManager[object]:
        """Return *inside* with a producer span in it, which becomes the current one."""
        if not isinstance(event, Event) or not self._manager.registry.signals.enabled:
            return inside
        return self._publish(event, inside)

    @contextmanager
    def _publish(self, event: Event[t.Any], inside: AbstractContextManager[object]) -> Iterator[None]:
        attributes = attributes_of(event, "publish", "send")
        span = self._tracer.start_as_current_span(
            f"publish {event.name}", kind=trace.SpanKind.PRODUCER, attributes=attributes
        )
        with inside, span:
            yield

    def running(
        self, event: Event[t.Any], job: Call, delivery: Delivery | None = None
    ) -> AbstractContextManager[trace.Span]:
        """Return a consumer span for a run of *job*: below that of its fire, or linked to it for a *delivery*."""
        attributes = attributes_of(event, "process", "process") | {"condor.job": path_of(getattr(job, "receiver", job))}
        fire = span_of_fire(event)
        start = partial(self._tracer.start_as_current_span, f"process {event.name}", kind=trace.SpanKind.CONSUMER)
        if delivery is not None:
            attributes |= {"condor.delivery_id": delivery.id, "condor.attempt": delivery.attempt}
            return start(attributes=attributes, links=[] if fire is None else [trace.Link(fire.get_span_context())])
        is_over = fire is not None and fire.get_span_context() != trace.get_current_span().get_span_context()
        return start(attributes=attributes, context=trace.set_span_in_context(fire) if fire and is_over else None)


class TracedChain(Chain):
    """A chain whose events carry the span of their fire, and each of whose runs has one."""

    __slots__ = ("_spans",)

    def __init__(self, *args: t.Any, spans: Spans) -> None:
        super().__init__(*args)
        self._spans = spans

    def origin_of(self, name: str) -> Origin:
        origin = super().origin_of(name) or Origin("handler", None, (), Family())
        headers: dict[str, str] = {}
        w3c.inject(headers)
        return msgspec.structs.replace(origin, trace=headers.get(HEADER))

    def run(
        self, event: Event[t.Any], plan: Plan, recording: Recording | None = None, *, traceback: bool = False
    ) -> list[Failure]:
        traced = tuple(call if getattr(call, "defers", False) else self._traced(call) for call in plan)
        return super().run(event, traced, recording, traceback=traceback)

    async def run_async(self, event: Event[t.Any], plan: Plan, recording: Recording | None = None) -> list[Failure]:
        traced = tuple(self._traced_async(call) if isinstance(call, AsyncCall) else call for call in plan)
        return await super().run_async(event, traced, recording)

    def call(self, event: Event[t.Any], job: Call) -> t.Any:
        return super().call(event, self._traced(job, self.ctx.delivery))

    def _traced(self, call: Call, delivery: Delivery | None = None) -> Call:
        def run(event: t.Any, ctx: t.Any) -> t.Any:
            with self._spans.running(event, call, delivery):
                return call(event, ctx)

        run.__name__ = name_of(call)
        run.receiver = getattr(call, "receiver", call)  # type: ignore[attr-defined]  # as job.ready does
        return run

    def _traced_async(self, call: AsyncCall) -> AsyncCall:
        async def run(event: t.Any, ctx: t.Any) -> t.Any:
            with self._spans.running(event, call):
                return await call.function(event, ctx=ctx)

        traced = copy(call)
        traced.function = run
        return traced


def attributes_of(event: Event[t.Any], name: str, kind: str) -> dict[str, str | int]:
    """Return what the semantic conventions for messaging ask of a span."""
    return {
        "messaging.system": "condor",
        "messaging.operation.name": name,
        "messaging.operation.type": kind,
        "messaging.destination.name": str(event.name),
        "messaging.message.id": str(event.id),
    }


def span_of_fire(event: Event[t.Any]) -> trace.Span | None:
    """Return the span in which *event* was fired, be it in another process; None when that was not traced."""
    carrier = {HEADER: event._origin.trace} if event._origin and event._origin.trace else {}
    span = trace.get_current_span(w3c.extract(carrier, Context()))
    return span if span.get_span_context().is_valid else None
