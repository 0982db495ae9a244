"""The claim: a worker takes the deliveries that are due, lane by lane, in the transaction that it is given."""

from __future__ import annotations

import math
import random
import typing as t
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Sequence

import msgspec
from sqlalchemy import and_
from sqlalchemy import bindparam
from sqlalchemy import func
from sqlalchemy import or_
from sqlalchemy import select
from sqlalchemy import tuple_
from sqlalchemy import update
from sqlalchemy.engine import Connection
from sqlalchemy.engine import Row

from .bus import bus_of
from .lanes import Lane
from .lanes import Lanes
from .log import clock
from .models import PENDING
from .models import RUNNING
from .models import deliveries
from .models import events

LEASE = 15.0
"""Seconds for which a worker owns a delivery without renewing."""
PARKED = 60.0
"""Seconds until a worker looks again at a delivery whose job is not registered for its event."""
ANY = 1_000_000
"""More attempts than any delivery has."""
LOST = "lost"
"""Stands for the worker of a pending delivery whose worker was lost: it is claimed alone."""
ALONE = ":alone"
"""Ends the name of the worker of a delivery that has no other beside it in that worker's hands."""

WINDOW = 1000
"""How many deliveries of a lane are looked at in one claim while events are paused: some 5 ms."""

Pair = tuple[str, str]
"""The name of an event and the path of a job."""

IN_LANE = and_(
    PENDING,
    deliveries.c.bus == bindparam("of_bus"),
    deliveries.c.queue == bindparam("lane_queue"),
    deliveries.c.priority == bindparam("lane_priority"),
)
NAME = select(events.c.name).where(events.c.id == deliveries.c.event_id).scalar_subquery()
IS_KNOWN = deliveries.c.job.in_(bindparam("jobs", expanding=True))
IS_NOT_SHY = or_(deliveries.c.worker.is_(None), deliveries.c.attempt <= bindparam("bold"))
DUE = (
    select(deliveries)
    .where(IN_LANE, deliveries.c.due_at <= bindparam("now"), IS_KNOWN, IS_NOT_SHY)
    .order_by(deliveries.c.due_at, deliveries.c.id)
    .limit(bindparam("count"))
    .with_for_update(skip_locked=True)
)
PLACE = tuple_(deliveries.c.due_at, deliveries.c.id)
AFTER = and_(deliveries.c.due_at >= bindparam("after_at"), PLACE > tuple_(bindparam("after_at"), bindparam("after_id")))
WINDOW_END = (
    select(deliveries.c.due_at, deliveries.c.id)
    .where(IN_LANE, deliveries.c.due_at <= bindparam("now"), AFTER)
    .order_by(deliveries.c.due_at, deliveries.c.id)
    .offset(WINDOW - 1)
    .limit(1)
)
DUE_IN_WINDOW = DUE.where(
    AFTER,
    PLACE <= tuple_(bindparam("until_at"), bindparam("until_id")),
    NAME.not_in(bindparam("paused", expanding=True)),
)
STRANGERS = (
    select(NAME, deliveries.c.job)
    .where(IN_LANE, deliveries.c.due_at <= bindparam("now"), ~IS_KNOWN)
    .order_by(deliveries.c.due_at)
    .limit(100)
)
LEFT_BEHIND = (
    select(NAME, deliveries.c.job)
    .where(RUNNING, deliveries.c.bus == bindparam("of_bus"), deliveries.c.lease_until < bindparam("now"))
    .limit(100)
)
NEXT_DUE = select(func.min(deliveries.c.due_at)).where(IN_LANE, deliveries.c.due_at > bindparam("now"))


class Claim(msgspec.Struct, eq=False):
    """A delivery in the hands of a worker: only who can name all of id, worker and attempt may finish it."""

    id: int
    worker: str
    attempt: int
    job: str
    due_at: float
    event: Row[t.Any]
    """The row of its event in ``condor_events``."""
    was_lost: bool
    """Whether an earlier worker of it was lost."""
    queue: str
    waited: float
    """For how many seconds it had been due."""


class Catch(msgspec.Struct):
    """What a claim brought."""

    claims: list[Claim]
    strangers: list[Pair]
    """The events and jobs of due deliveries that were left, as the job is not registered for that event."""
    is_all: bool
    """Whether nothing else is due."""
    is_alone: bool = False
    """Whether it is one that is to have no other beside it."""
    wants_empty_hands: bool = False
    """Whether one that is to be claimed alone is due."""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker asks for."""

    worker: str
    count: int
    lanes: Lanes
    pairs: Collection[Pair]
    """The events and jobs that it knows; the deliveries of others are left for a worker that knows them."""
    is_idle: bool
    """Whether it has nothing in hand."""
    bold: int = 0
    """The attempt up to which it takes a delivery whose worker was lost though it has others in hand; later ones it
    leaves. At 0 it wants empty hands for the first such delivery, and takes nothing after it."""


def claim(connection: Connection, wish: Wish) -> Catch:
    """Take at most so many deliveries that are due, of the highest priority first, and of those in turn by queue.

    One whose worker was lost before is taken alone, and only when this worker is idle, so that what kills its worker
    is told apart from what merely was there; but a bold one takes it with others.
    """
    now = clock(connection)
    jobs = sorted({job for _, job in list(wish.pairs)})
    rows: list[Row[t.Any]] = []
    is_all = True
    for lane in sorted(wish.lanes.open, key=lambda lane: (-lane[1], random.random())):
        room = wish.count - len(rows)
        values = {"now": now, "bold": wish.bold or ANY, "jobs": jobs, "count": room} | place_of(connection, lane)
        found, is_rest = find_due(connection, lane, wish.lanes, values)
        is_all = is_all and is_rest
        shy = first_shy(found, wish)
        if shy == 0 and wish.is_idle and not rows:
            return Catch(
                *start_or_park(connection, found[:1], wish, wish.worker + ALONE, now), is_all=False, is_alone=True
            )
        rows += found[:shy]
        if shy is not None:
            return Catch(*start_or_park(connection, rows, wish, wish.worker, now), is_all=False, wants_empty_hands=True)
        if len(found) == room:
            return Catch(*start_or_park(connection, rows, wish, wish.worker, now), is_all=False)
    return Catch(*start_or_park(connection, rows, wish, wish.worker, now), is_all=is_all)


def find_due(
    connection: Connection, lane: Lane, lanes: Lanes, values: dict[str, t.Any]
) -> tuple[Sequence[Row[t.Any]], bool]:
    """Return what is due in a lane, and whether that is all that was asked for.

    While events are paused it looks no further than to the end of a window, and goes on from there the next time.
    """
    if not lanes.paused:
        return connection.execute(DUE, values).all(), True
    after = lanes.passed.get(lane, (-math.inf, 0))
    values = values | {"after_at": after[0], "after_id": after[1]}
    end = connection.execute(WINDOW_END, values).one_or_none()
    until = (math.inf, 0) if end is None else (end.due_at, end.id)
    values |= {"until_at": until[0], "until_id": until[1], "paused": lanes.paused}
    found = connection.execute(DUE_IN_WINDOW, values).all()
    if end is not None and len(found) < values["count"]:
        lanes.passed[lane] = until
    return found, end is None


def place_of(connection: Connection, lane: Lane) -> dict[str, t.Any]:
    """Return the values of IN_LANE."""
    return {"of_bus": bus_of(connection), "lane_queue": lane[0], "lane_priority": lane[1]}


def first_shy(rows: Sequence[Row[t.Any]], wish: Wish) -> int | None:
    """Return the position of the first delivery whose worker was lost, if it is to be claimed alone."""
    return None if wish.bold else next((at for at, row in enumerate(rows) if row.worker is not None), None)


def start_or_park(
    connection: Connection, rows: Sequence[Row[t.Any]], wish: Wish, worker: str, now: float
) -> tuple[list[Claim], list[Pair]]:
    """Make *rows* running; return the claims, and what of them *wish* does not know, which is parked."""
    if not rows:
        return [], []
    found = connection.execute(select(events).where(events.c.id.in_({row.event_id for row in rows})))
    event_rows = {event.id: event for event in found}
    pairs = [(event_rows[row.event_id].name, row.job) for row in rows]
    claims = [
        Claim(
            id=row.id,
            worker=worker,
            attempt=row.attempt + 1,
            job=row.job,
            due_at=row.due_at,
            event=event_rows[row.event_id],
            was_lost=row.worker is not None,
            queue=row.queue,
            waited=now - row.due_at,
        )
        for row, pair in zip(rows, pairs, strict=True)
        if pair in wish.pairs
    ]
    start(connection, claims, worker, now)
    known = {one.id for one in claims}
    park(connection, [row.id for row in rows if row.id not in known], now)
    return claims, sorted(set(pairs) - set(wish.pairs))


def start(connection: Connection, claims: Sequence[Claim], worker: str, now: float) -> None:
    if not claims:
        return
    starting = update(deliveries).where(deliveries.c.id.in_([one.id for one in claims]))
    connection.execute(
        starting.values(
            state="running",
            attempt=deliveries.c.attempt + 1,
            worker=worker,
            lease_until=now + LEASE,
            started_at=now,
            finished_at=None,
        )
    )


def park(connection: Connection, ids: Sequence[int], now: float) -> None:
    """Leave deliveries whose job is known, but not for their event, to another worker for a while."""
    if not ids:
        return
    parking = update(deliveries).where(deliveries.c.id.in_(ids))
    connection.execute(parking.values(due_at=now + PARKED))


def find_strangers(connection: Connection, lanes: Iterable[Lane], pairs: Collection[Pair]) -> list[Pair]:
    """Return events and jobs, not among *pairs*, of deliveries that are due or whose worker was lost: each such job.

    Cheap while nothing else is due.
    """
    now = clock(connection)
    left_behind = connection.execute(LEFT_BEHIND, {"of_bus": bus_of(connection), "now": now})
    found = {(name, job) for name, job in left_behind} - set(pairs)
    for lane in lanes:
        jobs, values = {job for _, job in pairs}, place_of(connection, lane) | {"now": now}
        while rows := connection.execute(STRANGERS, values | {"jobs": sorted(jobs)}).all():
            found |= {(name, job) for name, job in rows}
            jobs |= {job for _, job in rows}
    return sorted(found)


def next_due(connection: Connection, lanes: Iterable[Lane]) -> float | None:
    """Return in how many seconds the next delivery that is not due yet will be; None when there is none."""
    now = clock(connection)
    times = [connection.scalar(NEXT_DUE, place_of(connection, lane) | {"now": now}) for lane in lanes]
    return min((at - now for at in times if at is not None), default=None)
