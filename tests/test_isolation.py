"""Requests at the same time: none sees another's events or context, and none leaves any behind."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from flask import Flask
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor import ctx

from tests.servers import Server
from tests.servers import gunicorn

PATHS = ["plain", "abort", "crash", "stream", "teardown", "failing-job"]
RUNS = {"plain": 4, "abort": 4, "crash": 3, "stream": 4, "teardown": 4, "failing-job": 3}
"""Of `check`, per request: three `now` runs, and one after the response unless that is a 5xx."""


def test_ten_thousand_events_of_requests_in_threads_are_never_mixed_up(
    app: Flask, events_manager: EventsManager
) -> None:
    seen: list[tuple[int, int, int]] = []

    def note(event: Event[int], ctx: Context) -> None:
        assert ctx.request is not None
        seen.append((event.payload, int(ctx.request.args["n"]), event.depth))

    events_manager.register("nested", note)
    events_manager.register("fired", lambda event, ctx: ctx.events.fire(Event("nested", event.payload)), note)

    @app.get("/")
    def view() -> str:
        number = int(ctx.request.args["n"]) if ctx.request else -1
        ctx.events.fire(Event("fired", number))
        return ""

    def ask(numbers: range) -> None:
        client = app.test_client()
        for number in numbers:
            client.get(f"/?n={number}")

    threads = [threading.Thread(target=ask, args=(range(start, 5_000, 8),)) for start in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(seen) == sorted([(n, n, depth) for n in range(5_000) for depth in (1, 2)])


@pytest.mark.parametrize(
    "requests", [2_000, *(pytest.param(many, marks=pytest.mark.slow) for many in (10_000, 100_000))]
)
def test_requests_to_gunicorn_with_2_workers_of_4_threads_are_never_mixed_up(requests: int) -> None:
    asked = [f"/{PATHS[number % len(PATHS)]}?id={number}" for number in range(requests)]

    with gunicorn("tests.apps.isolation:app", "--workers=2", "--worker-class=gthread", "--threads=4") as server:
        answers = server.get_all(asked)
        counts = counts_of_each_worker(server)

    assert sum(count["mismatched"] for count in counts) == 0
    assert sum(count["ran"] for count in counts) == sum(RUNS[path.split("?")[0][1:]] for path in asked)
    for path, (status, body) in zip(asked, answers, strict=True):
        kind, number = path[1:].split("?id=")
        assert status == {"abort": 404, "crash": 500, "failing-job": 500}.get(kind, 200)
        assert body == number or status != 200


def counts_of_each_worker(server: Server) -> list[dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for _ in range(100):
        for _, body in server.get_all(["/counts"] * 8):
            count = json.loads(body)
            found[count["pid"]] = count
        if set(found) == set(server.worker_pids()):
            return list(found.values())
    raise AssertionError(f"only workers {sorted(found)} of {server.worker_pids()} ever answered")
