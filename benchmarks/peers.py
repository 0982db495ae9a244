"""What each peer of the dispatch benchmark does for one event: a callable that fires once, per number of jobs."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import blinker
import django.dispatch
import pluggy
import psygnal
import pubsub.core.publisher
import pyee.base
from flask import Flask
from flask_condor import Condor
from flask_condor import Event
from flask_condor import ctx

NAME = "password-changed"
PAYLOAD = {"user": "ada"}
Job = Callable[..., None]
Fire = Callable[[int], None]
"""Fires the given number of times in a loop of its own."""


class PlainEvent:
    __slots__ = ("name", "payload")

    def __init__(self, name: str, payload: Any) -> None:
        self.name = name
        self.payload = payload


def make_jobs(count: int) -> list[Job]:
    def make() -> Job:
        def job(event: Any, ctx: Any) -> None: ...

        return job

    return [make() for _ in range(count)]


def bare_loop(jobs: Sequence[Job]) -> Fire:
    context = object()

    def fire(times: int) -> None:
        for _ in range(times):
            event = PlainEvent(NAME, PAYLOAD)
            for job in jobs:
                job(event, context)

    return fire


def flask_condor(jobs: Sequence[Job]) -> Fire:
    app = Flask("benchmark")
    Condor(app)
    app.extensions["condor"].register(NAME, *jobs)
    app.test_request_context().push()

    def fire(times: int) -> None:
        for _ in range(times):
            ctx.events.fire(Event(NAME, PAYLOAD))

    return fire


def blinker_send(jobs: Sequence[Job]) -> Fire:
    signal = blinker.Signal()
    for job in jobs:
        signal.connect(job, weak=False)
    context = object()

    def fire(times: int) -> None:
        for _ in range(times):
            signal.send(PlainEvent(NAME, PAYLOAD), ctx=context)

    return fire


def django_signal(jobs: Sequence[Job], *, use_caching: bool = False) -> Fire:
    signal = django.dispatch.Signal(use_caching=use_caching)
    for job in jobs:

        def receiver(sender: Any, signal: Any, event: Any, ctx: Any, job: Job = job) -> None: ...

        signal.connect(receiver, weak=False)
    context = object()

    def fire(times: int) -> None:
        for _ in range(times):
            signal.send(sender=PlainEvent, event=PlainEvent(NAME, PAYLOAD), ctx=context)

    return fire


def django_signal_cached(jobs: Sequence[Job]) -> Fire:
    return django_signal(jobs, use_caching=True)


def pyee_emit(jobs: Sequence[Job]) -> Fire:
    emitter = pyee.base.EventEmitter()
    for job in jobs:
        emitter.on(NAME, job)
    context = object()

    def fire(times: int) -> None:
        for _ in range(times):
            emitter.emit(NAME, PlainEvent(NAME, PAYLOAD), context)

    return fire


def psygnal_emit(jobs: Sequence[Job]) -> Fire:
    signal = psygnal.SignalInstance((object, object), check_nargs_on_connect=False)
    for job in jobs:
        signal.connect(job)
    context = object()

    def fire(times: int) -> None:
        for _ in range(times):
            signal.emit(PlainEvent(NAME, PAYLOAD), context)

    return fire


def pluggy_hook(jobs: Sequence[Job]) -> Fire:
    spec, implementation = pluggy.HookspecMarker("bench"), pluggy.HookimplMarker("bench")
    manager = pluggy.PluginManager("bench")

    class Spec:
        @spec
        def on_event(self, event: Any, ctx: Any) -> None: ...

    manager.add_hookspecs(Spec)
    for job in jobs:
        manager.register(type("Plugin", (), {"on_event": staticmethod(implementation(job))})())
    context = object()

    def fire(times: int) -> None:
        for _ in range(times):
            manager.hook.on_event(event=PlainEvent(NAME, PAYLOAD), ctx=context)

    return fire


def pypubsub_send(jobs: Sequence[Job]) -> Fire:
    publisher = pubsub.core.publisher.Publisher()
    for job in jobs:
        publisher.subscribe(job, NAME)
    context = object()

    def fire(times: int, held_weakly_by_pypubsub: Sequence[Job] = jobs) -> None:
        for _ in range(times):
            publisher.sendMessage(NAME, event=PlainEvent(NAME, PAYLOAD), ctx=context)

    return fire


PEERS: dict[str, tuple[str, Callable[[Sequence[Job]], Fire]]] = {
    "bare loop": ("python", bare_loop),
    "flask-condor": ("Flask-Condor", flask_condor),
    "pyee": ("pyee", pyee_emit),
    "pluggy": ("pluggy", pluggy_hook),
    "django cached": ("django", django_signal_cached),
    "django": ("django", django_signal),
    "psygnal": ("psygnal", psygnal_emit),
    "blinker": ("blinker", blinker_send),
    "pypubsub": ("PyPubSub", pypubsub_send),
}
"""Name shown, distribution, and what makes the loop."""
