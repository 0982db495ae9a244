"""The schedules: events that workers fire by the clock, each tick once, by an id that all workers derive alike."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Iterator
from datetime import datetime
from uuid import UUID
from uuid import uuid5
from zoneinfo import ZoneInfo

import msgspec

from .errors import ExtraMissing
from .errors import ScheduleInvalid

SPACE = UUID("9d7b2b0e-6a55-5c0c-9a4e-1c0d04c0d04c")
"""The namespace of the ids of scheduled events."""
GRACE = 60.0
"""Seconds after which a tick that nobody fired is left out."""


class Schedule(msgspec.Struct, frozen=True):
    """One event name, fired by the clock of one time zone."""

    name: str
    expression: str
    payload: str
    """JSON."""
    timezone: str

    def ticks(self, after: float) -> Iterator[float]:
        """Return the moments after *after* at which the event is due, in seconds since 1970 UTC, without an end."""
        zone = ZoneInfo(self.timezone)
        ticks = iterator(self.expression, datetime.fromtimestamp(after, zone))
        is_hourly = "*" in ticks.expressions[1]
        while True:
            tick: datetime = ticks.get_next(datetime)
            if is_hourly or not is_second_time(tick):
                yield tick.timestamp()

    def next_after(self, after: float) -> float:
        """Return the first of :meth:`ticks`."""
        return next(self.ticks(after))

    def id_of(self, tick: float, bus: str) -> str:
        """Return the id of the event of *tick*: the same in every process of an app, and another on another *bus*."""
        return str(uuid5(SPACE, "\n".join((bus, self.name, self.expression, self.timezone, f"{tick:.0f}"))))


class Schedules:
    """The schedules of one app, in the order they were made."""

    def __init__(self) -> None:
        self._schedules: tuple[Schedule, ...] = ()

    def __iter__(self) -> Iterator[Schedule]:
        return iter(self._schedules)

    def __bool__(self) -> bool:
        return bool(self._schedules)

    def add(self, name: str, expression: str, payload: str, timezone: str) -> None:
        """Add a schedule, its *payload* as JSON; raises as :meth:`EventsManager.schedule`."""
        schedule = Schedule(name, check_expression(expression), payload, check_timezone(timezone))
        if any((one.name, one.expression, one.timezone) == (name, expression, timezone) for one in self):
            raise ScheduleInvalid(f"event {name!r} is scheduled twice at {expression!r}: remove one of the two lines.")
        try:
            schedule.next_after(0.0)
        except ValueError as never:
            raise ScheduleInvalid(f"cron expression {expression!r} of event {name!r} never comes: {never}.") from never
        self._schedules += (schedule,)


def check_timezone(timezone: object) -> str:
    try:
        return ZoneInfo(t.cast(str, timezone)).key
    except (LookupError, ValueError, TypeError, OSError, AttributeError) as unknown:
        raise ScheduleInvalid(
            f"timezone={timezone!r} is unknown here: write a name such as 'Europe/Berlin', or pip install tzdata."
        ) from unknown


def check_expression(expression: object) -> str:
    if not isinstance(expression, str) or not (expression.startswith("@") or len(expression.split()) == 5):
        raise ScheduleInvalid(
            f"cron expression {expression!r} does not have 5 fields: minute, hour, day of month, month, day of week,"
            " as in '0 9 * * *' for daily at 9."
        )
    if re.search(r"(^|\s)[rR](\(|\s|/|$)", expression):
        raise ScheduleInvalid(f"cron expression {expression!r} has a random field, which every worker reads otherwise.")
    try:
        iterator(expression, datetime(2000, 1, 1, tzinfo=ZoneInfo("UTC")))
    except ValueError as error:
        raise ScheduleInvalid(f"cron expression {expression!r} cannot be read: {error}") from error
    return expression


def iterator(expression: str, start: datetime) -> t.Any:
    try:
        from croniter import croniter  # an extra, and not needed without schedules
    except ImportError as missing:
        raise ExtraMissing("croniter", "cron", "schedule()") from missing
    return croniter(expression, start)


def is_second_time(tick: datetime) -> bool:
    """Tell whether *tick* shows a time of day that the clock has shown before, an hour ago or so."""
    return tick.fold == 1 and tick.utcoffset() != tick.replace(fold=0).utcoffset()
