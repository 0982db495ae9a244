"""The hands of a worker: how many deliveries it claims ahead follows from how long jobs last."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from flask_condor.claims import Claim
from flask_condor.deliveries import Outcome
from flask_condor.hands import MOST
from flask_condor.hands import Hands

THREADS = 4


def a_claim(number: int = 1) -> Claim:
    event: Any = None
    return Claim(number, "worker", 1, "job", 0.0, event, was_lost=False, queue="default", waited=0.0)


def hands_after_a_job_of(seconds: float) -> Hands:
    ended = threading.Event()
    hands = Hands(THREADS, lambda claim: Outcome(claim, "done", seconds), ended.set)
    hands.take([a_claim()], lambda _: None)
    assert ended.wait(10)
    assert len(hands.collect()) == 1
    return hands


@pytest.mark.parametrize(
    ("seconds", "each"), [(0.0, MOST // THREADS), (0.01, 10), (0.05, 2), (1.0, 1)], ids=lambda value: f"{value:g}"
)
def test_what_is_claimed_ahead_keeps_each_thread_busy_for_a_tenth_of_a_second(seconds: float, each: int) -> None:
    hands = hands_after_a_job_of(seconds)

    assert hands.room() == THREADS * each
    hands.close()


def test_before_any_job_has_ended_no_more_is_claimed_than_can_begin() -> None:
    hands = Hands(THREADS, lambda claim: Outcome(claim, "done", 0.0), lambda: None)

    assert hands.room() == THREADS
    hands.close()
