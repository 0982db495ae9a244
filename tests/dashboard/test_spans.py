"""The spans: what the rates tell of an hour that is over is kept, of one that is not it is read each time."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask
from flask_condor.dashboard.reading import spans as reading
from flask_condor.dashboard.reading.spans import Span
from flask_condor.dashboard.reading.spans import spans
from flask_condor.rates import HOUR
from flask_condor.rates import Finished
from flask_condor.rates import add_runs
from msgspec.structs import astuple

from tests.dashboard.apps import make_app
from tests.dashboard.apps import manager_of

NOON = 12 * 3600
NOW = NOON + 1800.0
HOURS = range(NOON - 2 * HOUR, NOON + HOUR, HOUR)


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    return make_app(tmp_path)


def add(app: Flask, *found: Finished) -> None:
    with manager_of(app).log.begin() as connection:
        add_runs(connection, found)


def read(app: Flask) -> dict[int, Span]:
    with manager_of(app).log.read() as connection:
        return spans(connection, HOURS, NOW)


def test_each_span_tells_of_events_jobs_outcomes_and_durations(app: Flask) -> None:
    add(app, Finished("a", "m:j", "done", NOON, 0.0), Finished("b", "m:j", "lost", NOON, 0.0))

    empty, _, found = read(app).values()

    assert astuple(empty) == ({}, {}, {}, {})
    assert found.names == {("a", "done"): 1, ("b", "lost"): 1}
    assert found.jobs == {("m:j", 0): 1}
    assert found.outcomes == {"done": 1, "lost": 1}
    assert found.buckets == {0: 1}


def test_an_hour_that_is_over_is_read_once_in_a_while(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    past, present = Finished("a", "m:j", "done", NOON - HOUR, 0.0), Finished("a", "m:j", "done", NOON, 0.0)
    add(app, past, present)
    read(app)
    add(app, past, present)

    kept = read(app)
    monkeypatch.setattr(reading, "REREAD", -1.0)
    anew = read(app)

    assert [span.outcomes for span in kept.values()] == [{}, {"done": 1}, {"done": 2}]
    assert [span.outcomes for span in anew.values()] == [{}, {"done": 2}, {"done": 2}]


def test_no_more_is_kept_than_a_number_of_spans(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_KEPT", 1)
    add(app, Finished("a", "m:j", "done", NOON - HOUR, 0.0))

    read(app)

    assert reading.known[manager_of(app).log.engine] == {}
