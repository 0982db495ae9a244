"""The clock of a test: moved ahead at will, so that nothing has to be waited for."""

from __future__ import annotations

import time
import typing as t
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from itertools import takewhile

from .. import travel
from ..due import moment_of
from ..due import seconds_of
from ..errors import DelayInvalid

if t.TYPE_CHECKING:
    from datetime import datetime

    from ..manager import EventsManager
    from ..schedule import Schedule

MOST_TICKS = 1000
"""How often one schedule may fire in one travel."""


class Clock:
    """Moves the time by which deliveries and schedules are due; to be inherited.

    The time of day that the app itself reads is left alone, as is ``event.fired_at``.
    """

    def __init__(self, manager: EventsManager) -> None:
        self._manager = manager

    def travel(self, **units: float) -> None:
        """Move the clock ahead: ``travel(hours=24)``, or by days, minutes or seconds, or several of them.

        What becomes due waits to be run. Schedules fire as if a worker had run all the time.

        :raises DelayInvalid: for an unknown unit or a negative number.
        """
        self._go(now() + seconds_of(units))

    def travel_to(self, moment: datetime) -> None:
        """Move the clock ahead to *moment*, which has a time zone; likewise.

        :raises DelayInvalid: for one that has passed, or has no time zone.
        """
        until = moment_of(moment)
        if until < now():
            raise DelayInvalid(f"travel_to({moment!r}) leads back: a test travels ahead only.")
        self._go(until)

    def _go(self, until: float) -> None:
        since = now()
        travel.ahead += until - since
        if not vars(self._manager).get("schedules"):
            return
        from ..upkeep import Upkeep  # imports SQLAlchemy, which an app without schedules shall not pay

        self._manager.queueing.turn_on()
        upkeep = Upkeep(self._manager)
        for schedule in self._manager.schedules:
            ticks = list(islice(takewhile(lambda tick: tick <= until, schedule.ticks(since)), MOST_TICKS + 1))
            if len(ticks) > MOST_TICKS:
                raise DelayInvalid(f"schedule {schedule.expression!r} fires more than {MOST_TICKS:,} times on the way.")
            for tick in ticks:
                upkeep._fire_tick(schedule, tick)
                self._ticked(schedule, tick)

    def _ticked(self, schedule: Schedule, tick: float) -> None:
        """Take note of an event that *schedule* fired."""


def now() -> float:
    return time.time() + travel.ahead


@contextmanager
def returning() -> Iterator[None]:
    """Set the clock back to where it was when the ``with`` block ends."""
    before = travel.ahead
    try:
        yield
    finally:
        travel.ahead = before
