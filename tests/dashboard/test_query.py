"""What stands in the query string: read as it is meant, or refused in a sentence."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Flask
from flask_condor.dashboard.links import changed
from flask_condor.dashboard.links import is_ours
from flask_condor.dashboard.links import link
from flask_condor.dashboard.query import QueryWrong
from flask_condor.dashboard.query import choice
from flask_condor.dashboard.query import cursor
from flask_condor.dashboard.query import cursor_of
from flask_condor.dashboard.query import number
from flask_condor.dashboard.query import period
from flask_condor.dashboard.query import text

from tests.dashboard.apps import ADA
from tests.dashboard.apps import USERS
from tests.dashboard.apps import make_app


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    return make_app(tmp_path, users=USERS)


def encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


@pytest.mark.parametrize(("key", "length"), [("15m", 900), ("1h", 3600), ("24h", 86_400), ("7d", 604_800)])
def test_a_period_is_so_long_and_compared_with_as_many_minutes_or_hours(app: Flask, key: str, length: int) -> None:
    with app.test_request_context(f"/condor/?period={key}"):
        found = period()

    assert found.until - found.since == pytest.approx(length)
    assert found.before.until == found.since
    assert len(found.starts) == len(found.before.starts) == length // found.width
    assert found.before.starts.stop == found.starts.start


def test_a_period_of_one_s_own_is_in_utc_unless_it_says_otherwise(app: Flask) -> None:
    with app.test_request_context("/condor/?since=2026-01-02T03:00&until=2026-01-02T05:00%2B01:00"):
        found = period()

    assert (found.key, found.since, found.until - found.since) == ("custom", 1767322800.0, 3600.0)


@pytest.mark.parametrize(
    "query",
    [
        {"period": "2h"},
        {"period": "<script>"},
        {"since": "yesterday"},
        {"since": "2026-01-02", "until": "2026-01-01"},
        {"since": "0001-01-01"},
        {"since": "9999-12-31T23:59:59-23:59"},
        {"since": "1970-01-01T00:00:00", "until": "2200-01-01"},
        {"since": "1969-12-31", "until": "1970-01-02"},
        {"since": "2038-01-01", "until": "2038-01-19"},
        {"poll": "often"},
        {"period": "x" * 300},
        {"period": "1h\0"},
    ],
)
@pytest.mark.parametrize("path", ["/condor/"])
def test_what_means_nothing_has_a_page_that_says_so(app: Flask, path: str, query: dict[str, str]) -> None:
    answer = app.test_client().get(f"{path}?{urlencode(query)}", auth=ADA)

    assert answer.status_code == (200 if "poll" in query else 400)
    assert "<script>" not in answer.text


@pytest.mark.parametrize("value", ["0", "11", "-1", "1.5", "x", "٣", "9" * 41, "1e3"])
def test_a_number_is_whole_and_within_its_bounds(app: Flask, value: str) -> None:
    with app.test_request_context("/condor/", query_string={"attempt": value}), pytest.raises(QueryWrong):
        number("attempt", 1, 10)
    with app.test_request_context("/condor/?attempt=10"):
        assert number("attempt", 1, 10) == 10


def test_texts_and_choices_are_bounded(app: Flask) -> None:
    with app.test_request_context("/condor/", query_string={"a": "x" * 201, "b": "nul\0", "state": "odd", "c": "  "}):
        for key in ("a", "b"):
            with pytest.raises(QueryWrong):
                text(key)
        with pytest.raises(QueryWrong):
            choice("state", ("done", "dead"))
        assert (text("c"), text("nothing")) == (None, None)


def test_a_cursor_comes_back_as_it_was(app: Flask) -> None:
    place = 1767322800.123456, "0193-\u00e9", 2**62

    with app.test_request_context(f"/condor/?cursor={cursor_of(place)}"):
        assert cursor(float, str, int) == place


@pytest.mark.parametrize(
    "given",
    [
        *("x", "!!!", "e30", "\u00e9", "A" * 1999),
        *map(encoded, ([], [1], [1, 2, 3, 4], {"a": 1}, ["1", "a", 1], [1.0, 2, 1], [1.0, "a", True], [1.0, "a", 1.5])),
        *map(
            encoded,
            ([2**70, "a", 1], [float("nan"), "a", 1], [float("inf"), "a", 1], [1.0, "\0", 1], [1.0, "\ud800", 1]),
        ),
        base64.urlsafe_b64encode(b"[" * 1400).decode(),
    ],
)
def test_a_cursor_that_is_none_is_refused(app: Flask, given: str) -> None:
    with app.test_request_context("/condor/", query_string={"cursor": given}), pytest.raises(QueryWrong):
        cursor(float, str, int)


def test_links_carry_the_period_and_escape_what_they_hold(app: Flask) -> None:
    with app.test_request_context("/condor/runs?period=7d&state=dead&cursor=abc"):
        assert (
            link("/events", "a/b?c#d\u00e9", state=None, q="x&y")
            == "/condor/events/a%2Fb%3Fc%23d%C3%A9?period=7d&q=x%26y"
        )
        assert changed(state=None) == "/condor/runs?period=7d"
        assert changed(job="a b") == "/condor/runs?period=7d&state=dead&job=a+b"


def test_links_know_below_which_path_the_app_is(app: Flask) -> None:
    with app.test_request_context("/condor/?period=1h", base_url="http://localhost/below/"):
        assert link("/runs") == "/below/condor/runs?period=1h"
        assert is_ours("/below/condor/runs")
        assert not is_ours("/condor/runs")
