"""What was fired: the events of the list, one row each, with what became of their jobs."""

from __future__ import annotations

import typing as t

import msgspec
from sqlalchemy import ColumnElement
from sqlalchemy import CompoundSelect
from sqlalchemy import Select
from sqlalchemy import String
from sqlalchemy import Subquery
from sqlalchemy import and_
from sqlalchemy import func
from sqlalchemy import literal
from sqlalchemy import not_
from sqlalchemy import or_
from sqlalchemy import select
from sqlalchemy import tuple_
from sqlalchemy import union_all
from sqlalchemy.engine import Connection
from sqlalchemy.engine import Row

from ...bus import bus_of
from ...bus import ours
from ...history import is_job
from ...models import deliveries
from ...models import events
from ...models import failures
from .payloads import holds
from .payloads import is_named

SEARCHED = 10_000
"""How many events, the newest of the period first, one page looks through for those that a filter asks for."""
COUNTED = 10_000
LONGEST_CHAIN = 1_000
"""How many events of a chain are counted."""

Place = tuple[float, str]
"""Where an event stands: when it was fired, and its id."""
Count = tuple[int, bool]
"""How many there are, and whether there may be more, as not all were looked at."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Which events are asked for: those that meet all that is not None."""

    since: float | None = None
    until: float | None = None
    """Neither holds for an *id* or a *root*: these are looked for in all that is stored."""
    name: str | None = None
    """In which ``*`` stands for any text."""
    status: str | None = None
    source: str | None = None
    subject: str | None = None
    """As in *name*."""
    id: str | None = None
    root: str | None = None
    """The id of the event that began a chain."""
    job: str | None = None
    """By name or path."""
    error: str | None = None
    """The class of the error with which an attempt of a job failed, with or without its module."""
    payload: tuple[tuple[tuple[str, ...], str], ...] = ()
    """Keys that lead to a value in the payload, and that value."""

    @property
    def is_search(self) -> bool:
        """Whether events have to be looked through for it, one by one."""
        others = (self.name, self.status, self.source, self.subject, self.job, self.error)
        return bool(self.payload) or any(one is not None for one in others)


class FiredEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event, and what became of its jobs."""

    id: str
    name: str
    source: str
    fired_at: float
    root_id: str
    replay_of: str | None
    subject: str | None
    status: str
    done: int = 0
    """How many of its jobs are done."""
    jobs: int = 0
    seconds: float | None = None
    """From the fire to the end of the last job; None while one is left."""
    chain: int = 1
    """How many events its chain has, at most :data:`LONGEST_CHAIN` and one."""


class Found(msgspec.Struct, frozen=True):
    """One page of events."""

    events: list[FiredEvent]
    next: Place | None
    """Where the next page begins; None when there is none."""
    searched_until: float | None
    """When the last event was fired that was looked at, where the search stopped at :data:`SEARCHED` events."""
    count: Count | None
    """Told of the first page."""


def find(
    connection: Connection, asked: Asked, most: int, after: Place | None = None, *, oldest_first: bool = False
) -> Found:
    """Return *most* of the events *asked* for, the newest first, those that come after a place in that order.

    Looks at :data:`SEARCHED` events at most; the next page goes on where it stopped, so that none is left out.
    """
    window = window_of(connection, asked, after, oldest_first=oldest_first)
    if asked.is_search:
        return search(connection, asked, most, window, is_first=after is None, oldest_first=oldest_first)
    rows = connection.execute(window.limit(most + 1)).all()
    following = place_of(rows[most - 1]) if len(rows) > most else None
    return page_of(connection, rows[:most], following, count=count_of(connection, window, after))


def search(
    connection: Connection, asked: Asked, most: int, window: Select[t.Any], *, is_first: bool, oldest_first: bool
) -> Found:
    """Return those of *window*, as far as it is looked through, that are asked for."""
    looked = window.add_columns(*([events.c.payload] if asked.payload else [])).limit(SEARCHED).subquery("looked")
    order = in_order(looked.c.fired_at, looked.c.id, oldest_first=oldest_first)
    ids = list(connection.scalars(select(looked.c.id).where(*conditions(connection, asked, looked)).order_by(*order)))
    found = {row.id: row for row in connection.execute(select(*OF_EVENT).where(events.c.id.in_(ids[:most])))}
    rows = [found[id] for id in ids[:most]]
    end = connection.execute(window.offset(SEARCHED - 1).limit(1)).one_or_none()
    count = (len(ids), end is not None) if is_first else None
    if len(ids) > most or end is None:
        return page_of(connection, rows, place_of(rows[-1]) if len(ids) > most else None, count=count)
    return page_of(connection, rows, place_of(end), end.fired_at, count)


def count_of(connection: Connection, window: Select[t.Any], after: Place | None) -> Count | None:
    if after is not None:
        return None
    counted = connection.scalar(select(func.count()).select_from(window.limit(COUNTED + 1).subquery())) or 0
    return min(counted, COUNTED), counted > COUNTED


FIELDS = ("id", "name", "source", "fired_at", "root_id", "replay_of", "subject")
OF_EVENT = [events.c[field] for field in (*FIELDS, "is_orphan")]


def window_of(connection: Connection, asked: Asked, after: Place | None, *, oldest_first: bool) -> Select[t.Any]:
    """Return the statement for the events among which to look, in their order; an index leads through them."""
    at, id = events.c.fired_at, events.c.id
    if asked.id is not None or asked.root is not None:
        # coalesced, as SQLite would else go through all events in their order, to save the sorting
        window = select(*OF_EVENT).where(func.coalesce(events.c.bus, "") == bus_of(connection))
        window = window if asked.id is None else window.where(id == asked.id)
        window = window if asked.root is None else window.where(id.in_(chain_of(asked.root)))
    else:
        window = select(*OF_EVENT).where(ours(connection, events))
        window = window if asked.since is None else window.where(at >= asked.since)
        window = window if asked.until is None else window.where(at < asked.until)
    if after is not None:
        place = tuple_(at, id)
        behind = (at >= after[0], place > tuple_(*after)) if oldest_first else (at <= after[0], place < tuple_(*after))
        window = window.where(*behind)
    return window.order_by(*in_order(at, id, oldest_first=oldest_first))


def chain_of(root: str) -> CompoundSelect[t.Any]:
    """Return the statement for the ids of a chain; not by ``or``, for which no index is used."""
    member = events.alias()
    below = select(member.c.id).where(member.c.root_id == root, member.c.root_id != member.c.id)
    return union_all(select(literal(root, String)), below)


def in_order(at: t.Any, id: t.Any, *, oldest_first: bool) -> tuple[t.Any, ...]:
    return (at, id) if oldest_first else (at.desc(), id.desc())


def place_of(row: Row[t.Any]) -> Place:
    return row.fired_at, row.id


def conditions(connection: Connection, asked: Asked, looked: Subquery) -> list[ColumnElement[bool]]:
    """Return what an event has to meet, the cheapest first.

    :param looked: those among which to look, and no others: joined to the table, PostgreSQL would begin with that.
    """
    found: list[ColumnElement[bool]] = []
    of_it = deliveries.c.event_id == looked.c.id
    if asked.name is not None:
        found.append(is_named(connection, looked.c.name, asked.name))
    if asked.source is not None:
        found.append(looked.c.source == asked.source)
    if asked.subject is not None:
        found.append(is_named(connection, looked.c.subject, asked.subject))
    if asked.status is not None:
        found.append(has_status(asked.status, looked))
    if asked.job is not None:
        found.append(has_any(of_it, is_job(asked.job)))
    if asked.error is not None:
        end = f".{asked.error}"
        kind = failures.c.error_type
        is_kind = or_(kind == asked.error, func.substr(kind, func.length(kind) - (len(end) - 1)) == end)
        failed = select(failures.c.id).where(ours(connection, failures), is_kind)
        found.append(has_any(of_it, deliveries.c.failure_id.in_(failed)))
    found += [holds(connection, looked.c.payload, keys, value) for keys, value in asked.payload]
    return found


def has_status(status: str, looked: Subquery) -> ColumnElement[bool]:
    """Return the same as :func:`status_of`, in SQL."""
    of_it = deliveries.c.event_id == looked.c.id
    if status in ("orphan", "none"):
        return and_(looked.c.is_orphan == (status == "orphan"), not_(has_any(of_it)))
    some, none = STATES[status]
    # coalesced, as SQLite would look through all that are dead, by their index
    state = func.coalesce(deliveries.c.state, "")
    return and_(*(has_any(of_it, state.in_(one)) for one in some), not_(has_any(of_it, state.in_(none))))


def has_any(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return whether an event has such a delivery; not by ``exists``, of which PostgreSQL makes a join with all."""
    return select(literal(1)).select_from(deliveries).where(*conditions).limit(1).scalar_subquery().is_not(None)


STATES: dict[str, tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]] = {
    "failed": ((("dead",),), ("done", "pending", "running")),
    "partial": ((("dead",), ("done", "pending", "running")), ()),
    "running": ((("running",),), ("dead",)),
    "waiting": ((("pending",),), ("dead", "running")),
    "ok": ((("done",),), ("dead", "running", "pending")),
    "cancelled": ((("cancelled",),), ("dead", "running", "pending", "done")),
}
"""The states of which an event in that status has deliveries, some of each, and those of which it has none."""


def status_of(states: t.Mapping[str, int], *, is_orphan: bool) -> str:
    """Return in a word what became of an event, whose deliveries are in *states*."""
    if not states:
        return "orphan" if is_orphan else "none"
    if "dead" in states:
        return "partial" if states.keys() & {"done", "pending", "running"} else "failed"
    if "running" in states:
        return "running"
    if "pending" in states:
        return "waiting"
    return "ok" if "done" in states else "cancelled"


class Ends(msgspec.Struct):
    """How the deliveries of one event ended, so far."""

    states: dict[str, int] = {}
    last: float | None = None


def ends_of(connection: Connection, ids: t.Sequence[str]) -> dict[str, Ends]:
    """Return, by the ids of events, in which states their deliveries are, and when the last of them ended."""
    last = func.max(deliveries.c.finished_at).label("last")
    counted = select(deliveries.c.event_id, deliveries.c.state, func.count().label("runs"), last)
    counted = counted.where(deliveries.c.event_id.in_(ids)).group_by(deliveries.c.event_id, deliveries.c.state)
    found: dict[str, Ends] = {}
    for row in connection.execute(counted):
        ends = found.setdefault(row.event_id, Ends())
        ends.states[row.state] = row.runs
        ends.last = max(filter(None, (ends.last, row.last)), default=None)
    return found


def chains_of(connection: Connection, roots: t.Collection[str]) -> dict[str, int]:
    """Return how many events followed from each of *roots*, counted up to :data:`LONGEST_CHAIN`."""
    root, member = events.alias(), events.alias()
    below = select(member.c.id).where(member.c.root_id == root.c.id, member.c.root_id != member.c.id)
    some = below.correlate(root).limit(LONGEST_CHAIN).subquery()
    counted = select(func.count()).select_from(some).scalar_subquery()
    return dict(t.cast(t.Any, connection.execute(select(root.c.id, counted).where(root.c.id.in_(roots))).all()))


def page_of(
    connection: Connection,
    rows: t.Sequence[Row[t.Any]],
    next: Place | None,
    searched_until: float | None = None,
    count: Count | None = None,
) -> Found:
    ends = ends_of(connection, [row.id for row in rows])
    chains = chains_of(connection, {row.root_id for row in rows})
    found = [fired_event(row, ends.get(row.id, Ends()), chains.get(row.root_id, 0)) for row in rows]
    return Found(found, next, searched_until, count)


def fired_event(row: Row[t.Any], ends: Ends, followed: int) -> FiredEvent:
    has_ended = ends.last is not None and not ends.states.keys() & {"pending", "running"}
    return FiredEvent(
        **{field: getattr(row, field) for field in FIELDS},
        status=status_of(ends.states, is_orphan=row.is_orphan),
        done=ends.states.get("done", 0),
        jobs=sum(ends.states.values()),
        seconds=max(0.0, (ends.last or 0.0) - row.fired_at) if has_ended else None,
        chain=followed + 1,
    )
