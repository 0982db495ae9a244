"""The upkeep: what a worker does beside its jobs: fires schedules, notes gauges, and forgets what ended long ago."""

from __future__ import annotations

import logging
import math
import random
import time
import typing as t
from collections.abc import Callable
from functools import partial

from .due import Due
from .errors import shorten
from .event import Event
from .event import Family
from .event import Origin
from .event import originate
from .failures import prune_failures
from .gauges import note_gauge
from .line import tell
from .log import clock
from .operations import jobs_to_run
from .payload import from_json
from .prune import Prune
from .prune import Retention
from .prune import prune_rejections
from .prune import prune_tokens
from .prune import prune_trends
from .rates import HOURS_KEPT
from .rates import prune_rates
from .schedule import GRACE
from .writing import write_event

if t.TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from .config import Config
    from .manager import EventsManager
    from .schedule import Schedule

logger = logging.getLogger(__name__)

FIRST_PRUNE = 10.0
"""Seconds within which a new worker begins to prune."""
BETWEEN_PRUNES = 60.0
"""Seconds from the end of one pass over the log to the next."""
BATCHES_A_TICK = 5
BETWEEN_GAUGES = 20.0
"""Seconds between two looks whether this minute has its gauge."""
BETWEEN_FAILURES = 10.0
"""Seconds to wait after a failure."""


class Upkeep:
    """Keeps the event log of one app, a little at a time; each worker process has its own, and they may all work.

    Call :meth:`tick` about once a second, from one thread. Between ticks it holds no connection.
    """

    def __init__(self, manager: EventsManager, now: Callable[[], float] = time.time) -> None:
        self._manager = manager
        self._now = now
        self._fired_until = now() - GRACE
        self._next_tick = self._next_gauge = -math.inf
        self._prune: Prune | None = None
        self._next_prune = time.monotonic() + random.uniform(0, FIRST_PRUNE)
        self._pause_until = -math.inf

    def tick(self) -> None:
        """Fire what is due by the clock, note the gauges, and prune a little; log what fails, and never raise it."""
        if time.monotonic() < self._pause_until:
            return
        self._attempt(self._fire_schedules)
        self._attempt(self._note_gauge)
        self._attempt(self._prune_some)

    def _attempt(self, step: Callable[[], object]) -> bool:
        try:
            step()
        except Exception as error:  # the worker's loop goes on, whatever the database does
            self._pause_until = time.monotonic() + BETWEEN_FAILURES
            text = "upkeep of the event log failed: %s; it is tried again in %.0f s"
            tell(logger, "upkeep_failed", text, shorten(error), BETWEEN_FAILURES)
            return False
        return True

    def _fire_schedules(self) -> None:
        """Fire the ticks since the last look; one is missed only when nobody looked within a minute after it.

        By this machine's clock, as no worker shall ask the database each second; its deliveries are due by the
        database's, so a clock that is ahead makes none too early. A tick that is fired a second time has the id that
        it had before, so where the clock was put back, or a schedule failed, all are fired again.
        """
        schedules, now = self._manager.schedules, self._now()
        was_put_back = self._fired_until > now
        if not schedules or (now < self._next_tick and not was_put_back):
            return
        since = now - GRACE if was_put_back else max(self._fired_until, now - GRACE)
        done = [self._attempt(partial(self._fire, schedule, since, now)) for schedule in schedules]
        if all(done):
            self._fired_until = now
            self._next_tick = min(schedule.next_after(now) for schedule in schedules)

    def _fire(self, schedule: Schedule, since: float, now: float) -> None:
        for tick in schedule.ticks(since):
            if tick > now:
                return
            self._fire_tick(schedule, tick)

    def _fire_tick(self, schedule: Schedule, tick: float) -> None:
        name = schedule.name
        event: Event[t.Any] = Event(
            name, from_json(schedule.payload), schedule.id_of(tick, self._manager.log.bus), tick
        )
        originate(event, Origin("app", None, (), Family()))
        registry = self._manager.registry
        jobs = jobs_to_run(registry, name) if registry.jobs_of(name) else []
        with self._manager.log.begin(f"scheduled event {name} was not accepted") as connection:
            is_first = write_event(connection, event, schedule.payload, jobs, Due(at=tick))
        if not is_first:
            return
        tell(
            logger,
            "schedule_fired" if jobs else "schedule_unheard",
            "schedule %s fired event %s%s",
            schedule.expression,
            name,
            "" if jobs else ", which has no job: register one, or take the schedule out",
            event_id=event.id,
            event_name=name,
        )

    def _note_gauge(self) -> None:
        if time.monotonic() < self._next_gauge:
            return
        with self._manager.log.begin("how the queue stands was not noted") as connection:
            note_gauge(connection)
        self._next_gauge = time.monotonic() + BETWEEN_GAUGES

    def _prune_some(self) -> None:
        if time.monotonic() < self._next_prune:
            return
        for _ in range(BATCHES_A_TICK):
            with self._manager.log.begin("nothing was pruned") as connection:
                if self._prune is None:
                    self._prune = begin_prune(connection, self._manager.config)
                self._prune.batch(connection)
            if self._prune.is_over:
                self._prune = None
                self._next_prune = time.monotonic() + BETWEEN_PRUNES
                return


def begin_prune(connection: Connection, config: Config) -> Prune:
    now = clock(connection)
    prune_rates(connection, now, HOURS_KEPT)
    prune_trends(connection, now)
    prune_rejections(connection, now)
    retention = Retention.of(config, now)
    prune_failures(connection, now, retention.dead_before)
    prune_tokens(connection, retention.dead_before)
    return Prune(retention)
