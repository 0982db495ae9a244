"""The query string of a page: its filters, its period and where its list begins, each checked."""

from __future__ import annotations

import base64
import binascii
import json
import typing as t
from collections.abc import Collection
from datetime import UTC
from datetime import datetime

import msgspec
from flask import request

from ..errors import CondorError
from ..errors import shorten_repr
from ..meant import did_you_mean
from ..rates import HOUR
from ..rates import MINUTE
from ..rates import MINUTES_KEPT
from ..rates import Width
from .here import now

PERIODS = {"15m": ("15 min", 900), "1h": ("1 hour", 3600), "24h": ("24 hours", 86_400), "7d": ("7 days", 604_800)}
USUAL = "1h"
BY_MINUTE = 4 * 3600
"""Seconds: longer periods are shown by the hour."""
LONGEST = 400 * 86_400
"""Seconds: the rates are kept no longer."""
LATEST = 2**31 - 86_400
"""Seconds since 1970 UTC: the hours that the counts are kept by are 32 bits wide on PostgreSQL."""
LARGEST = 2**63 - 1
"""The largest number that the databases hold."""
Place = tuple[int | float | str, ...]


class QueryWrong(CondorError):
    """An argument of the query string means nothing; the page says which, and what is expected."""


class Period(msgspec.Struct, frozen=True):
    """The time that a page is about, in seconds since 1970 UTC, from *since* to before *until*."""

    since: float
    until: float
    width: Width
    """Of the rates that tell of it, in seconds."""
    label: str
    key: str
    """That of :data:`PERIODS`, or "custom"."""

    @property
    def unit(self) -> str:
        """What it is shown by."""
        return "minute" if self.width == MINUTE else "hour"

    @property
    def before(self) -> Period:
        """The period of the same length before this one."""
        length = self.until - self.since
        return Period(self.since - length, self.since, self.width, f"the {self.label} before", "custom")

    @property
    def starts(self) -> range:
        """When the minutes or hours began of which it is made, as many as those of :attr:`before`.

        The first is the first that began within the period, so that none is in both; the last may not be over.
        """
        return range(self._whole(self.since), self._whole(self.until), self.width)

    def _whole(self, at: float) -> int:
        return (int(at // self.width) + 1) * self.width


def period() -> Period:
    """Return the period of the page: ``?period=1h``, or ``?since=…&until=…`` in ISO 8601, UTC unless it says otherwise.

    :raises QueryWrong: for any other.
    """
    at = now()
    if "since" in request.args and "period" not in request.args:
        since, until = moment("since", at), moment("until", at)
        if not 0 < until - since <= LONGEST:
            raise QueryWrong("since= must be before until=, by 400 days at most.")
        if since < 0 or until > LATEST:
            raise QueryWrong("since= and until= must be from 1970 to 2037: nothing else is in the log.")
        return Period(since, until, width_for(since, until, at), "period", "custom")
    key = choice("period", tuple(PERIODS)) or USUAL
    label, length = PERIODS[key]
    return Period(at - length, at, width_for(at - length, at, at), label, key)


def width_for(since: float, until: float, at: float) -> Width:
    return MINUTE if until - since <= BY_MINUTE and since > at - MINUTES_KEPT / 2 else HOUR


def moment(key: str, default: float) -> float:
    """Return the moment that an argument names.

    :raises QueryWrong: for what is none.
    """
    given = text(key, most=40)
    if given is None:
        return default
    try:
        found = datetime.fromisoformat(given)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise QueryWrong(f"{key}={shorten_repr(given)} is no time. Write it as 2026-11-21T09:00, in UTC.") from error


def text(key: str, most: int = 200) -> str | None:
    """Return an argument as it is; None when it is empty or missing.

    :raises QueryWrong: for a text longer than *most* characters, or one that no database holds.
    """
    return checked(key, request.args.get(key, "").strip(), most) or None


def checked(key: str, given: str, most: int) -> str:
    """Return what was *given* under that key; raises as :func:`text`."""
    if len(given) > most:
        raise QueryWrong(f"{key}= has {len(given):,} characters; up to {most} are read.")
    if "\0" in given or any("\ud800" <= letter <= "\udfff" for letter in given):
        raise QueryWrong(f"{key}={shorten_repr(given)} is no text that is stored anywhere. Take it out.")
    return given


def choice(key: str, choices: Collection[str]) -> str | None:
    """Return an argument that is one of *choices*; None when it is empty or missing.

    :raises QueryWrong: for any other.
    """
    given = text(key)
    if given is not None and given not in choices:
        raise QueryWrong(f"{key}={shorten_repr(given)} is none of: {', '.join(choices)}.{did_you_mean(given, choices)}")
    return given


def number(key: str, low: int, high: int) -> int | None:
    """Return an argument that is a whole number from *low* to *high*; None when it is empty or missing.

    :raises QueryWrong: for any other.
    """
    given = text(key, most=40)
    return None if given is None else whole(key, given, low, high)


def whole(key: str, given: str, low: int, high: int) -> int:
    """Return the whole number that was *given* under that key; raises as :func:`number`."""
    if not (given.isascii() and given.isdigit()) or not low <= int(given) <= high:
        raise QueryWrong(f"{key}={shorten_repr(given)} is no whole number from {low:,} to {high:,}.")
    return int(given)


def cursor(*kinds: type[int] | type[float] | type[str]) -> Place | None:
    """Return the place after which the list goes on, as :func:`cursor_of` wrote it; None at its start.

    :param kinds: of its values: ``cursor(float, str)``. :raises QueryWrong: for what is none.
    """
    given = text("cursor", most=2000)
    if given is None:
        return None
    try:
        place = json.loads(base64.b64decode(given + "=" * (-len(given) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError) as error:
        raise QueryWrong("cursor= is no place in this list. Begin at its start.") from error
    if not isinstance(place, list) or len(place) != len(kinds) or not all(map(is_storable, place, kinds)):
        raise QueryWrong("cursor= is no place in this list. Begin at its start.")
    return tuple(place)


def is_storable(value: object, kind: type) -> bool:
    """Tell whether the databases can compare *value* with a column of that kind."""
    if isinstance(value, str):
        return kind is str and "\0" not in value and not any("\ud800" <= letter <= "\udfff" for letter in value)
    fits = type(value) is kind or (type(value), kind) == (int, float)
    return fits and -(2**63) < t.cast(float, value) < 2**63


def cursor_of(place: Place) -> str:
    """Return *place*, the key of a list's last row, as an argument of the query string."""
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def wants(form: t.Literal["csv", "json"]) -> bool:
    """Tell whether the page is asked for as a file, by ``?format=``.

    :raises QueryWrong: for another format.
    """
    return choice("format", ("csv", "json")) == form


def poll_seconds() -> int:
    """Return after how many seconds the page is asked for again, by ``?poll=``: 5 unless it says otherwise, 2 to 60."""
    given = number("poll", 0, 10**9)
    return 5 if given is None else min(60, max(2, given))
