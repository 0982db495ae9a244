"""When a delivery is due: a delay from now, or a moment."""

from __future__ import annotations

import math
import typing as t
from collections.abc import Mapping
from datetime import UTC
from datetime import datetime
from datetime import timedelta

import msgspec

from .errors import DelayInvalid

UNITS = ("days", "hours", "minutes", "seconds")
LONGEST = timedelta(days=36_525).total_seconds()
"""A century, in seconds: beyond it a delay is a mistake."""

Delay = timedelta | float | Mapping[str, float]


class Due(msgspec.Struct, frozen=True):
    """When a delivery may start: *wait* seconds after it is written, or *at*, in seconds since 1970 UTC."""

    wait: float = 0.0
    at: float | None = None


NOW = Due()


def due_from(delay: object, at: object) -> Due:
    """Return when an event that is fired with *delay* or *at* is due; a moment that has passed is due at once.

    :param delay: a timedelta, a number of seconds, or a dict with some of days, hours, minutes and seconds.
    :param at: a datetime with a time zone.
    :raises DelayInvalid: for both together, an unknown unit, a negative, endless or absurd value, or a naive datetime.
    """
    if delay is not None and at is not None:
        raise DelayInvalid(f"delay={delay!r} and at={at!r} were both given: write one of them.")
    if at is not None:
        return Due(at=moment_of(at))
    return Due(wait=seconds_of(delay))


def moment_of(at: object) -> float:
    if not isinstance(at, datetime):
        raise DelayInvalid(f"at={at!r} is no datetime: write at=datetime(2030, 1, 31, 9, tzinfo=UTC), or use delay.")
    if at.utcoffset() is None:
        raise DelayInvalid(f"at={at!r} has no time zone: write datetime.now(UTC), or add tzinfo=UTC.")
    return (at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()


def seconds_of(delay: object) -> float:
    if isinstance(delay, timedelta):
        return checked(delay.total_seconds(), "delay", delay)
    if isinstance(delay, Mapping):
        for unit in delay:
            if unit not in UNITS:
                raise DelayInvalid(f"delay has the unknown unit {unit!r}: use {', '.join(UNITS)}.")
        parts = {unit: checked(amount, f"delay {unit}", amount) for unit, amount in delay.items()}
        if not parts:
            raise DelayInvalid(f"delay={delay!r} names no unit: use {', '.join(UNITS)}.")
        return checked(sum(timedelta(**{unit: 1}).total_seconds() * n for unit, n in parts.items()), "delay", delay)
    return checked(delay, "delay in seconds", delay)


def checked(amount: t.Any, what: str, shown: object) -> float:
    if isinstance(amount, bool) or not isinstance(amount, int | float):
        raise DelayInvalid(f"{what} is {shown!r}: expected a number, a timedelta or a dict of {', '.join(UNITS)}.")
    if not 0 <= amount <= LONGEST or math.isnan(amount):
        raise DelayInvalid(f"{what} is {shown!r}: expected 0 or more, and at most a century.")
    return float(amount)
