"""Times as they are typed and shown: "1h30m", "2026-11-21 09:00"; all are UTC unless they say otherwise."""

from __future__ import annotations

import re
import time
import typing as t
from datetime import UTC
from datetime import datetime

import click

from ..due import LONGEST

UNITS = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
PART = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)([dhms])")


class Span(click.ParamType[float]):
    """A length of time, as seconds: "90", or numbers with the units d, h, m and s, such as "24h" and "1h30m"."""

    name = "time"

    def convert(self, value: t.Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        seconds = seconds_of(value)
        if seconds is None or seconds > LONGEST:
            self.fail(f"{value!r} is no length of time up to a century. Type seconds, or 24h, 1h30m, 7d.", param, ctx)
        return seconds


class Moment(click.ParamType[float]):
    """A moment, as seconds since 1970 UTC: in ISO 8601, or as the length of time that has passed since.

    :param needs_zone: whether it is to come, and so must name its time zone.
    """

    name = "time"

    def __init__(self, *, needs_zone: bool = False) -> None:
        self._needs_zone = needs_zone

    def convert(self, value: t.Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        ago = None if self._needs_zone else seconds_of(value)
        if ago is not None:
            return time.time() - min(ago, LONGEST)
        moment = read_moment(value)
        if moment is None:
            other = "" if self._needs_zone else ", or how long ago, such as 1h30m"
            self.fail(f"{value!r} is no time. Type {self._example()}{other}.", param, ctx)
        if moment.tzinfo is None and self._needs_zone:
            self.fail(f"{value!r} has no time zone. Type {self._example()}.", param, ctx)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return (moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()

    def _example(self) -> str:
        return "2030-01-31T09:00+01:00" if self._needs_zone else "2026-11-21 09:00 (UTC)"


def seconds_of(text: str) -> float | None:
    """Return the seconds of a length of time; None for what is none."""
    if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,9})?", text):
        return float(text)
    if not re.fullmatch(f"(?:{PART.pattern})+", text):
        return None
    return sum(float(number) * UNITS[unit] for number, unit in PART.findall(text))


def read_moment(text: str) -> datetime | None:
    """Return a moment in ISO 8601; None for what is none, and in the years 1 and 9999, which UTC may not have."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if 1 < moment.year < 9999 else None


def shown_time(at: float | None) -> str | None:
    """Return a moment as the tables show it, in UTC."""
    moment = moment_of(at)
    return None if at is None else str(at) if moment is None else moment.strftime("%Y-%m-%d %H:%M:%S")


def iso_time(at: float | None) -> str | None:
    """Return a moment in ISO 8601, to the microsecond, in UTC."""
    moment = moment_of(at)
    return None if at is None else str(at) if moment is None else moment.isoformat(timespec="microseconds")


def moment_of(at: float | None) -> datetime | None:
    try:
        return None if at is None else datetime.fromtimestamp(at, UTC)
    except (ValueError, OverflowError, OSError, TypeError):
        return None
