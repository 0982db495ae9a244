"""The hour of the demo: plays what customers did until now, and writes it to the event log as it would have been."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator
from logging import makeLogRecord
from random import Random

from sqlalchemy import insert
from sqlalchemy import select
from sqlalchemy.engine import Connection

from ..claims import LEASE
from ..errors import CondorError
from ..event import Cause
from ..event import Event
from ..event import Family
from ..event import Origin
from ..event import uuid7
from ..failures import Failed
from ..failures import add_failures
from ..job import Job
from ..job import name_of
from ..kept_lines import KeptLines
from ..kept_lines import add_lines
from ..logged_lines import line_of
from ..models import deliveries
from ..models import events
from ..operations import cancel
from ..operations import replay
from ..operations import retry
from ..payload import to_json
from ..presence import Presence
from ..presence import own_version
from ..presence import sign_in
from ..rates import Finished
from ..rates import add_runs
from ..rows import delivery_row
from ..rows import event_row
from ..storable import Failure
from ..storable import describe_error
from . import shop
from .senders import received
from .senders import write_edge
from .stories import HABITS
from .stories import Habit
from .stories import Payload
from .stories import next_story
from .stories import payload_of
from .trends import write_trends

if t.TYPE_CHECKING:
    from ..event import Source
    from ..manager import EventsManager
    from ..models import State

STORIES = 700
"""How many things customers do in the hour; jobs fire some more events."""
HOUR = 3600.0
TROUBLE = (35 * 60.0, 25 * 60.0)
"""The seconds before now between which the payment and mail services were down."""
DAY = 24 * HOUR
UNSET = ("worker", "lease_until", "started_at", "finished_at", "error", "result", "failure_id")
WORKERS = (
    Presence("shop-1:4711:demo", "shop-1", 4711, 4, ("default", "payments", "slow"), own_version()),
    Presence("shop-1:4712:demo", "shop-1", 4712, 4, ("default", "payments", "slow"), own_version()),
)


class Hour:
    """Plays one hour that ends at *now*: the same for the same *seed*, but for the times and ids.

    :param now: seconds since 1970 UTC.
    """

    def __init__(self, manager: EventsManager, now: float, seed: int = 1) -> None:
        self._registry = manager.registry
        self._bus = manager.config.bus
        self._now = now
        self._random = Random(seed)
        self._events: list[dict[str, t.Any]] = []
        self._deliveries: list[dict[str, t.Any]] = []
        self._runs: list[Finished] = []
        self._failed: list[Failed] = []
        self._play_all()

    def _play_all(self) -> None:
        for at in sorted(self._now - self._random.uniform(0, HOUR) for _ in range(STORIES)):
            name = next_story(self._random)
            self._play(name, at, "http" if name == shop.NEWSLETTER_OPENED else "handler")
            if name == shop.CART_ABANDONED:
                self._play(shop.REMINDER_DUE, at, "handler", delay=DAY)

    def _play(
        self, name: str, at: float, source: Source, cause: tuple[Event[Payload], str] | None = None, *, delay: float = 0
    ) -> None:
        event = self._make(name, at, source, cause)
        jobs = self._registry.jobs_of(name)
        is_orphan = not self._registry.knows(name)
        self._events.append(event_row(event, to_json(event.payload), self._bus, is_orphan=is_orphan))
        for job in jobs:
            self._deliver(event, job, at + delay, is_queued=job.run == "queued" or delay > 0)

    def _make(self, name: str, at: float, source: Source, cause: tuple[Event[Payload], str] | None) -> Event[Payload]:
        if cause is None:
            payload = payload_of(name, self._random, None)
            return Event(name, payload, uuid7(at), at, Origin(source, None, (), Family()))
        fired_by, job = cause
        origin = t.cast(Origin, fired_by._origin)
        origin = Origin(
            source,
            Cause(fired_by.id, fired_by.name, job),
            (*origin.path, fired_by.name),
            Family(origin.family.root_id or fired_by.id),
        )
        return Event(name, payload_of(name, self._random, fired_by.payload), uuid7(at), at, origin)

    def _deliver(self, event: Event[Payload], job: Job, at: float, *, is_queued: bool) -> None:
        row = delivery_row(event.id, job, self._bus) | {"run": "queued" if is_queued else job.run}
        due = at + (self._random.expovariate(20) if is_queued else 0.0)
        most = job.rules.retry.max_attempts if is_queued else 1
        state, attempt, start, end = self._try_all(event, job, len(self._deliveries) + 1, due, most)
        values: dict[str, t.Any] = {"state": state, "due_at": start, "attempt": attempt}
        if state != "pending":
            values |= {"started_at": start, "worker": self._random.choice(WORKERS).id if is_queued else None}
        values["lease_until" if state == "running" else "finished_at"] = end
        empty: dict[str, t.Any] = dict.fromkeys(UNSET)
        self._deliveries.append(row | {"id": len(self._deliveries) + 1} | empty | values)
        fires = HABITS[name_of(job.function)].fires
        if state == "done" and fires is not None:
            self._play(fires, start, "job", (event, job.path))

    def _try_all(
        self, event: Event[Payload], job: Job, number: int, start: float, most: int
    ) -> tuple[State, int, float, float | None]:
        """Return how the delivery stands now, its attempts, and when the last began and ended or is to end."""
        habit = HABITS[name_of(job.function)]
        is_hopeless = self._random.random() < habit.is_hopeless
        attempt = 0
        for attempt in range(1, most + 1):
            if start > self._now:
                break
            seconds = habit.seconds * self._random.lognormvariate(0, 0.5)
            if start + seconds > self._now:
                return "running", attempt, start, self._now + LEASE
            fails = is_hopeless or self._random.random() < self._share_failing(habit, start)
            end = start + seconds
            if not fails:
                self._runs.append(Finished(event.name, job.path, "done", end, seconds))
                return "done", attempt, start, end
            outcome: t.Literal["failed", "dead"] = "dead" if attempt == most else "failed"
            self._runs.append(Finished(event.name, job.path, outcome, end, seconds))
            worker = self._random.choice(WORKERS).id
            self._failed.append(
                Failed(number, attempt, event.name, job.path, outcome, worker, start, end, failure_of(habit))
            )
            if outcome == "dead":
                return "dead", attempt, start, end
            start = end + job.rules.retry.wait_after(attempt)
        return "pending", attempt - 1, start, None

    def _share_failing(self, habit: Habit, at: float) -> float:
        first, last = TROUBLE
        return habit.fails_in_trouble if first > self._now - at > last else habit.fails

    def write(self, connection: Connection) -> None:
        """Write all that happened, in the transaction of *connection*, and what a person did about it."""
        for row in self._events:
            if row["source"] == "http":
                row |= received(self._random, row["id"])
        connection.execute(insert(events), self._events)
        for failed in sorted(self._failed, key=lambda one: one.ended_at):
            (number,) = add_failures(connection, [failed])
            row = self._deliveries[failed.delivery - 1]
            row |= {"failure_id": number, "error": None if row["state"] == "done" else failed.failure.text}
        connection.execute(insert(deliveries), self._deliveries)
        add_lines(connection, list(self._logged()))
        for worker in WORKERS:
            sign_in(connection, worker)
        self._look_after(connection)
        add_runs(connection, self._runs)
        fired = {row["id"]: row["fired_at"] for row in self._events}
        write_trends(connection, self._random, self._now, fired, self._deliveries, len(WORKERS))
        write_edge(connection, self._random, self._now)

    def _logged(self) -> Iterator[KeptLines]:
        done = [row for row in self._deliveries if row["state"] == "done"]
        ended = [(row["id"], row["job"], row["started_at"], row["finished_at"]) for row in done]
        ended += [(one.delivery, one.job, one.started_at, one.ended_at) for one in self._failed]
        for number, job, began, end in ended:
            says = HABITS[job.rpartition(":")[2]].says
            if says is not None:
                about = {"created": began, "msecs": began % 1 * 1000, "levelname": "INFO", "name": "shop", "msg": says}
                yield KeptLines(number, end, line_of(makeLogRecord(about)))

    def _look_after(self, connection: Connection) -> None:
        dead = select(deliveries.c.id, deliveries.c.event_id).where(deliveries.c.state == "dead")
        rows = connection.execute(dead.where(deliveries.c.run == "queued").order_by(deliveries.c.id)).all()
        retry(connection, [row.id for row in rows[:2]], "ada")
        origin = Origin("replay", None, (), Family())
        replay(connection, self._registry, rows[2].event_id, None, origin=origin, actor="grace")
        waiting = select(deliveries.c.id).where(deliveries.c.state == "pending", deliveries.c.due_at > self._now + HOUR)
        cancel(connection, t.cast(int, connection.scalar(waiting.order_by(deliveries.c.id))), "grace")


def failure_of(habit: Habit) -> Failure:
    """Return what is stored of the error with which a job fails."""
    try:
        if habit.how is not None:
            habit.how()
    except (CondorError, OSError, ValueError) as error:
        begun_here = error.__traceback__
        return describe_error(error.with_traceback(begun_here and begun_here.tb_next))
    raise AssertionError(f"{habit} fails, and has nothing that raises")
