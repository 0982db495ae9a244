"""The history: reads what was fired, how its jobs ended and what followed from it, for commands and pages."""

from __future__ import annotations

import json
import typing as t
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import contextmanager

import msgspec
from sqlalchemy import ColumnElement
from sqlalchemy import and_
from sqlalchemy import func
from sqlalchemy import or_
from sqlalchemy import select
from sqlalchemy import tuple_
from sqlalchemy.engine import Connection
from sqlalchemy.engine import Row

from .bus import ours
from .database import plain
from .models import DEAD
from .models import PENDING
from .models import RUNNING
from .models import deliveries
from .models import events

if t.TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from .models import State

    class Readable(t.Protocol):
        def read(self) -> AbstractContextManager[Connection]: ...


LONGEST_CHAIN = 100
"""How many causes are followed upwards."""


class Line(msgspec.Struct, frozen=True):
    """An event with one of its deliveries; the fields from ``delivery`` on are None when it has none."""

    event_id: str
    name: str
    fired_at: float
    is_orphan: bool
    subject: str | None
    delivery: int | None = None
    job: str | None = None
    run: str | None = None
    state: State | None = None
    attempt: int | None = None
    due_at: float | None = None
    started_at: float | None = None
    finished_at: float | None = None

    @property
    def seconds(self) -> float | None:
        """How long the run took; None while it has not ended."""
        return took(self.started_at, self.finished_at)


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """Which lines are wanted: those that meet all that is not None."""

    name: str | None = None
    job: str | None = None
    """The name of a job, or its path ("module:qualname")."""
    state: State | None = None
    since: float | None = None
    until: float | None = None
    is_orphan: bool | None = None

    def condition(self, connection: Connection) -> ColumnElement[bool]:
        """Return it for a statement that joins events and deliveries."""
        conditions = [ours(connection, deliveries if self.state in INDEXED else events)]
        if self.name is not None:
            conditions.append(events.c.name == self.name)
        if self.job is not None:
            conditions.append(is_job(self.job))
        if self.state is not None:
            conditions.append(INDEXED.get(self.state, func.coalesce(deliveries.c.state, "") == self.state))
        if self.since is not None:
            conditions.append(events.c.fired_at >= self.since)
        if self.until is not None:
            conditions.append(events.c.fired_at < self.until)
        if self.is_orphan is not None:
            conditions.append(events.c.is_orphan == self.is_orphan)
        return and_(*conditions)


class Stored(msgspec.Struct, frozen=True):
    """An event as it is stored."""

    id: str
    name: str
    payload: str
    is_replayable: bool
    is_orphan: bool
    source: str
    fired_at: float
    root_id: str
    path: str
    cause_id: str | None
    cause_name: str | None
    cause_job: str | None
    replay_of: str | None
    is_redacted: bool
    subject: str | None


class Run(msgspec.Struct, frozen=True):
    """A delivery as it is stored."""

    id: int
    job: str
    run: str
    queue: str
    priority: int
    state: State
    due_at: float
    attempt: int
    losses: int
    worker: str | None
    started_at: float | None
    finished_at: float | None
    error: str | None
    result: str | None

    @property
    def seconds(self) -> float | None:
        """How long the last attempt took; None while it has not ended."""
        return took(self.started_at, self.finished_at)


class Relative(msgspec.Struct, frozen=True):
    """An event of a family, and how many of its deliveries are in which state."""

    id: str
    name: str
    fired_at: float
    source: str
    cause_id: str | None
    cause_job: str | None
    states: dict[str, int] = {}


class Family(msgspec.Struct, frozen=True):
    """An event's root and what followed from it: the oldest, and always the event itself and what led to it."""

    root_id: str
    members: list[Relative]
    """In the order they were fired; the root first, unless it was pruned."""
    count: int
    """Of all that are stored."""


Kin = dict[str, Row[t.Any]]
Place = tuple[float, str, int]
"""Where a line stands: when its event was fired, the event's id, and the delivery's number, 0 for none."""

INDEXED = {"dead": DEAD, "pending": PENDING, "running": RUNNING}
"""The states whose deliveries have an index of their own; lines in the others, or of a job, are met from the newest
event on, whose deliveries SQLite looks up one by one as long as it cannot tell that there must be one: coalesce."""

OF_LINE = (
    *(events.c[field] for field in ("id", "name", "fired_at", "is_orphan", "subject")),
    *(deliveries.c[field] for field in ("id", "job", "run", "state", "attempt", "due_at", "started_at", "finished_at")),
)
OF_RUN = [deliveries.c[field] for field in Run.__struct_fields__]
OF_EVENT = [events.c[field] for field in Stored.__struct_fields__]
OF_RELATIVE = [events.c[field] for field in Relative.__struct_fields__[:-1]]


@contextmanager
def reading(log: Readable) -> Iterator[Connection]:
    """Open a transaction that reads all that is stored, be its text such as no writer of ours wrote it."""
    with log.read() as connection:
        if connection.dialect.name != "sqlite":
            yield plain(connection)
            return
        raw: t.Any = connection.connection.dbapi_connection
        raw.text_factory = lambda data: data.decode(errors="backslashreplace")
        try:
            yield connection
        finally:
            raw.text_factory = str


def lines(connection: Connection, chosen: Chosen, most: int, before: Place | None = None) -> list[Line]:
    """Return the newest *most* of the *chosen* lines, newest first.

    :param before: only those that come after this place in that order.
    """
    number = func.coalesce(deliveries.c.id, 0)
    found = select(*OF_LINE).select_from(events.outerjoin(deliveries)).where(chosen.condition(connection))
    if before is not None:
        place = tuple_(events.c.fired_at, events.c.id, number)
        found = found.where(events.c.fired_at <= before[0], place < tuple_(*before))
    newest = found.order_by(events.c.fired_at.desc(), events.c.id.desc(), number.desc())
    return [Line(*row) for row in connection.execute(newest.limit(most))]


def fired(connection: Connection, since: float = 0.0, most: int | None = None) -> list[Line]:
    """Return the events fired *since*, newest first, without their deliveries."""
    found = select(*OF_LINE[:5]).where(ours(connection, events), events.c.fired_at >= since)
    newest = found.order_by(events.c.fired_at.desc(), events.c.id.desc())
    return [Line(*row) for row in connection.execute(newest.limit(most))]


def ended(connection: Connection, since: float = 0.0, most: int | None = None) -> list[Line]:
    """Return the deliveries that ended *since*, be it as done, dead or cancelled, the last first."""
    ends = deliveries.c.finished_at
    found = select(*OF_LINE).select_from(events.join(deliveries))
    found = found.where(ours(connection, deliveries), ends.is_not(None), ends >= since)
    last = found.order_by(ends.desc(), deliveries.c.id.desc())
    return [Line(*row) for row in connection.execute(last.limit(most))]


def event_of(connection: Connection, target: int | str) -> Stored | None:
    """Return the event with that id, or that of the delivery with that number; None when there is none."""
    found = select(*OF_EVENT).where(ours(connection, events))
    if isinstance(target, str):
        found = found.where(events.c.id == target)
    else:
        found = found.join(deliveries).where(deliveries.c.id == target)
    row = connection.execute(found).one_or_none()
    return None if row is None else Stored(*row)


def runs_of(connection: Connection, event_id: str) -> list[Run]:
    """Return the deliveries of an event, in the order they were written."""
    found = select(*OF_RUN).where(deliveries.c.event_id == event_id).order_by(deliveries.c.id)
    return [Run(*row) for row in connection.execute(found)]


def family_of(connection: Connection, event: Stored, most: int) -> Family:
    """Return the family of *event*: *most* of its descendants and of its root's, the oldest."""
    is_descendant = and_(events.c.root_id == event.root_id, events.c.root_id != events.c.id)
    followed = select(*OF_RELATIVE).where(is_descendant).order_by(events.c.fired_at, events.c.id).limit(most)
    kin: Kin = {}
    for statement in (followed, followed.where(events.c.cause_id == event.id)):
        kin |= {row.id: row for row in connection.execute(statement)}
    add_causes(connection, event.id, kin)
    add_one(connection, event.root_id, kin)
    count = connection.scalar(select(func.count()).where(is_descendant)) or 0
    states = states_of(connection, list(kin))
    members = [Relative(**row._mapping, states=states.get(row.id, {})) for row in kin.values()]
    members.sort(key=lambda one: (one.id != event.root_id, one.fired_at, one.id))
    return Family(event.root_id, members, count + (event.root_id in kin))


def add_causes(connection: Connection, id: str, kin: Kin) -> None:
    """Add an event to *kin*, and what led to it."""
    at: str | None = id
    for _ in range(LONGEST_CHAIN):
        if at is None:
            return
        add_one(connection, at, kin)
        at = kin[at].cause_id if at in kin else None


def add_one(connection: Connection, id: str, kin: Kin) -> None:
    if id not in kin:
        kin |= {row.id: row for row in connection.execute(select(*OF_RELATIVE).where(events.c.id == id))}


def states_of(connection: Connection, ids: Sequence[str]) -> dict[str, dict[str, int]]:
    of_each = deliveries.c.event_id, deliveries.c.state
    counted = select(*of_each, func.count().label("runs")).where(deliveries.c.event_id.in_(ids)).group_by(*of_each)
    states: dict[str, dict[str, int]] = {}
    for row in sorted(connection.execute(counted), key=lambda row: row.state):
        states.setdefault(row.event_id, {})[row.state] = row.runs
    return states


def is_job(name: str) -> ColumnElement[bool]:
    """Return the condition for the deliveries of a job, by its name or path; not by LIKE, which ignores case."""
    return is_named(deliveries.c.job, name, ":")


def is_named(path: ColumnElement[str], name: str, mark: str) -> ColumnElement[bool]:
    """Return the condition for a *path* that is *name*, or ends with it behind a *mark*."""
    end = f"{mark}{name}"
    return or_(path == name, func.substr(path, func.length(path) - (len(end) - 1)) == end)


def took(started_at: float | None, finished_at: float | None) -> float | None:
    """Return the seconds between the two, where both are known."""
    return None if started_at is None or finished_at is None else max(0.0, finished_at - started_at)


def value_of(text: str | None) -> t.Any:
    """Return what a stored JSON text holds; the text itself where it is none."""
    try:
        return None if text is None else json.loads(text)
    except ValueError:
        return text
