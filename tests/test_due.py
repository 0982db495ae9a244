"""When a delivery is due: what ``delay`` and ``at`` may be, and what is refused by name."""

from __future__ import annotations

from datetime import UTC
from datetime import datetime
from datetime import timedelta
from datetime import timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask_condor.due import LONGEST
from flask_condor.due import NOW
from flask_condor.due import Due
from flask_condor.due import due_from
from flask_condor.errors import DelayInvalid

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [
        (0, 0),
        (1.5, 1.5),
        (timedelta(days=1, milliseconds=250), 86_400.25),
        ({"hours": 24}, 86_400),
        ({"days": 1, "hours": 1, "minutes": 1, "seconds": 1}, 90_061),
        ({"minutes": 0.5}, 30),
        ({"seconds": 0}, 0),
        (LONGEST, LONGEST),
    ],
)
def test_a_delay_is_a_number_a_timedelta_or_units(delay: Any, seconds: float) -> None:
    assert due_from(delay, None) == Due(wait=seconds)


def test_a_delay_of_nothing_is_due_at_once() -> None:
    assert due_from(0, None) == NOW == Due(wait=0.0, at=None)


@pytest.mark.parametrize(
    ("at", "seconds"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), 0),
        (datetime(2024, 2, 29, tzinfo=UTC), 1_709_164_800),
        (datetime(2024, 2, 29, 2, tzinfo=timezone(timedelta(hours=2))), 1_709_164_800),
        (datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=0), 1_792_888_200),
        (datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1), 1_792_891_800),
    ],
)
def test_a_moment_is_kept_as_it_is_whatever_its_time_zone(at: datetime, seconds: float) -> None:
    assert due_from(None, at) == Due(at=seconds)


@pytest.mark.parametrize(
    ("delay", "named"),
    [
        (-1, "-1"),
        (timedelta(seconds=-1), "delay is datetime.timedelta"),
        ({"hours": -1}, "delay hours is -1"),
        ({"weeks": 1}, "unknown unit 'weeks'"),
        ({"hour": 1}, "unknown unit 'hour'"),
        ({1: 1}, "unknown unit 1"),
        ({}, "names no unit"),
        ({"hours": "1"}, "delay hours is '1'"),
        ({"hours": True}, "delay hours is True"),
        ({"hours": None}, "delay hours is None"),
        ({"days": 40_000}, "delay days|delay is"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (LONGEST + 1, "a century"),
        (10**400, "a century"),
        ("1h", "'1h'"),
        (True, "True"),
        ([], r"\[\]"),
        (datetime(2030, 1, 1, tzinfo=UTC), "expected a number"),
    ],
)
def test_a_delay_that_is_no_time_to_come_is_refused_by_name(delay: Any, named: str) -> None:
    with pytest.raises(DelayInvalid, match=named):
        due_from(delay, None)


@pytest.mark.parametrize(
    ("at", "named"),
    [
        (datetime(2030, 1, 1), "no time zone"),
        (1_900_000_000, "no datetime"),
        ("2030-01-01T00:00:00Z", "no datetime"),
        (datetime(2030, 1, 1).date(), "no datetime"),
    ],
)
def test_a_moment_that_is_none_is_refused_by_name(at: Any, named: str) -> None:
    with pytest.raises(DelayInvalid, match=named):
        due_from(None, at)


def test_a_delay_and_a_moment_together_are_refused() -> None:
    with pytest.raises(DelayInvalid, match="both given"):
        due_from(0, datetime(2030, 1, 1, tzinfo=UTC))


def test_what_is_refused_is_also_a_value_error() -> None:
    with pytest.raises(ValueError, match="delay"):
        due_from(-1, None)
