"""The retry rule of a queued job: how often it is tried, and how long it waits between two attempts."""

from __future__ import annotations

import random
import typing as t

import msgspec

from .errors import CondorError
from .errors import RuleInvalid

LONGEST_WAIT = 3600.0
"""Seconds; no wait between two attempts is longer."""


class AttemptFailed(CondorError, RuntimeError):
    """What a job raises that knows more of its failure than the retry rule does.

    :param wait: seconds before the next attempt, when that is longer than the rule's; an hour at most.
    :param is_final: whether there is to be none, as it would fail too: the delivery is dead at once.
    """

    def __init__(self, said: str, *, wait: float = 0.0, is_final: bool = False) -> None:
        super().__init__(said)
        self.wait = min(max(wait, 0.0), LONGEST_WAIT)
        self.is_final = is_final


class Retry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often a queued job is tried: ``register(NAME, job, run="queued", retry=Retry(max_attempts=3))``.

    :param max_attempts: how often the job is started in all, 1 or more; then the delivery is dead.
    :param backoff: "exponential" doubles the wait with each attempt, up to an hour; "constant" keeps it.
    :param jitter: whether each wait is shortened at random by up to a half, so that jobs which failed together are
        not tried again together ("equal jitter": M. Brooker, Exponential Backoff And Jitter, AWS 2015).
    :param wait: seconds before the second attempt.
    :raises RuleInvalid: for a number out of its range, or an unknown backoff.
    """

    max_attempts: int = 5
    backoff: t.Literal["exponential", "constant"] = "exponential"
    jitter: bool = True
    wait: float = 5.0

    def __post_init__(self) -> None:
        if type(self.max_attempts) is not int or not 1 <= self.max_attempts <= 1000:
            raise RuleInvalid(f"Retry(max_attempts={self.max_attempts!r}): expected a whole number from 1 to 1000.")
        if self.backoff not in ("exponential", "constant"):
            raise RuleInvalid(f"Retry(backoff={self.backoff!r}) is unknown: write 'exponential' or 'constant'.")
        if isinstance(self.wait, bool) or not isinstance(self.wait, int | float) or not 0 <= self.wait <= LONGEST_WAIT:
            raise RuleInvalid(f"Retry(wait={self.wait!r}): expected seconds from 0 to {LONGEST_WAIT:.0f}.")

    def wait_after(self, attempt: int) -> float:
        """Return how many seconds to wait after *attempt* (1 for the first) has failed."""
        doublings = min(attempt - 1, 32) if self.backoff == "exponential" else 0
        wait = min(self.wait * 2.0**doublings, LONGEST_WAIT)
        return wait * random.uniform(0.5, 1.0) if self.jitter else wait
