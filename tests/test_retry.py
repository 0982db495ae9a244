"""The retry rule: how often, how long between two attempts, and which rules are refused."""

from __future__ import annotations

from typing import Any

import pytest
from flask_condor.errors import RuleInvalid
from flask_condor.retry import LONGEST_WAIT
from flask_condor.retry import Retry


def test_a_wait_doubles_with_each_attempt() -> None:
    rule = Retry(jitter=False, wait=2)

    waits = [rule.wait_after(attempt) for attempt in (1, 2, 3, 4)]

    assert waits == [2, 4, 8, 16]


def test_a_constant_wait_stays_as_it_is() -> None:
    rule = Retry(backoff="constant", jitter=False, wait=7)

    assert {rule.wait_after(attempt) for attempt in range(1, 1001)} == {7}


def test_no_wait_is_longer_than_an_hour_however_many_attempts_went_before() -> None:
    rule = Retry(max_attempts=1000, jitter=False)

    assert [rule.wait_after(attempt) for attempt in (11, 33, 1000)] == [LONGEST_WAIT] * 3


def test_jitter_shortens_a_wait_by_up_to_a_half_and_never_lengthens_it() -> None:
    rule = Retry(wait=8)

    waits = [rule.wait_after(2) for _ in range(1000)]

    assert 8 <= min(waits) < 9 and 15 < max(waits) <= 16


def test_a_wait_of_nothing_stays_nothing() -> None:
    assert Retry(wait=0).wait_after(5) == 0


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        ({"max_attempts": 0}, "max_attempts=0"),
        ({"max_attempts": -1}, "max_attempts=-1"),
        ({"max_attempts": 1001}, "max_attempts=1001"),
        ({"max_attempts": 2.0}, "max_attempts=2.0"),
        ({"max_attempts": True}, "max_attempts=True"),
        ({"max_attempts": None}, "max_attempts=None"),
        ({"backoff": "linear"}, "backoff='linear'"),
        ({"wait": -1}, "wait=-1"),
        ({"wait": float("nan")}, "wait=nan"),
        ({"wait": float("inf")}, "wait=inf"),
        ({"wait": True}, "wait=True"),
        ({"wait": "5"}, "wait='5'"),
    ],
)
def test_a_rule_that_means_nothing_is_refused_by_name(rule: dict[str, Any], named: str) -> None:
    with pytest.raises(RuleInvalid, match=named):
        Retry(**rule)
