"""The operations on many: begun by a person with a fixed filter, carried out by a worker, to be looked at and aborted.

Each is a row of ``condor_operations``. What a worker does with it is in :mod:`~flask_condor.bulk_worker`.
"""

from __future__ import annotations

import json
import typing as t
import uuid

import msgspec
from sqlalchemy import and_
from sqlalchemy import select
from sqlalchemy import update
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Connection

from .bulk import ReplayFired
from .bulk import RetryDead
from .bus import bus_of
from .bus import ours
from .counting import Counted
from .errors import OperationRefused
from .errors import shorten_repr
from .log import clock
from .models import bulk_operations
from .operations import note
from .purge import FINISHED
from .purge import Finished
from .purge import Purge
from .selected import Selected
from .selected import Selection
from .selected import ToCancel
from .selected import ToForget
from .selected import ToReplay
from .selected import ToRetry
from .writing import wake_workers

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from .registry import Registry

State = t.Literal["pending", "running", "done", "aborted", "failed"]
LONGEST_TITLE = 200
IDS = uuid.UUID("0d6b1d4e-3c0b-5a52-9d3f-6f0d7f7b9a11")
"""The namespace of the ids that replayed events get, so that none is replayed twice by one operation."""
VERBS = {ToRetry: "Retry", ToReplay: "Replay", ToCancel: "Cancel", ToForget: "Delete"}


class ChosenDead(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="retry"):
    """The dead deliveries that are to be retried."""

    event: str | None = None
    job: str | None = None
    failure: int | None = None


class ChosenFired(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="replay"):
    """The events that are to be replayed: those of a name that were fired in a time."""

    event: str
    since: float | None = None
    until: float | None = None
    jobs: list[str] | None = None


class ChosenEnded(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="purge"):
    """The deliveries that are to be deleted: those that ended before a time."""

    before: float
    event: str | None = None
    job: str | None = None
    states: tuple[Finished, ...] = FINISHED


Filter = ChosenDead | ChosenFired | ChosenEnded
Chosen = Filter | Selected


class BulkOperation(msgspec.Struct, frozen=True):
    """An operation on many, as it is stored."""

    id: int
    title: str
    kind: t.Literal["retry", "replay", "purge", "cancel"]
    actor: str
    chosen: str
    """The filter, as JSON: see :func:`chosen_of`."""
    state: State
    total: int
    """How many there are to do; before it has begun, at most 10,000, though there may be more."""
    done: int
    left_out: int
    """How many could not be done."""
    error: str | None
    created_at: float
    started_at: float | None
    finished_at: float | None
    worker: str | None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be done."""
        return self.finished_at is not None


COLUMNS = [bulk_operations.c[field] for field in BulkOperation.__struct_fields__]


class Work(t.Protocol):
    """What is done in batches, from a place that can be stored."""

    @property
    def is_over(self) -> bool: ...
    @property
    def place(self) -> list[t.Any]: ...
    @place.setter
    def place(self, place: Sequence[t.Any]) -> None: ...
    def count(self, connection: Connection) -> int: ...
    def count_some(self, connection: Connection) -> Counted: ...
    def batch(self, connection: Connection) -> int: ...


def work_of(registry: Registry, chosen: Chosen, actor: str, key: str = "") -> Work:
    """Return what does it.

    :param key: tells the operation from all others, for the ids of replayed events.
    :raises OperationRefused: for the replay of an event that has no such job.
    """
    if isinstance(chosen, ChosenDead):
        return RetryDead(chosen.event, chosen.job, actor, failure=chosen.failure)
    if isinstance(chosen, ChosenEnded):
        return Purge(chosen.before, name=chosen.event, job=chosen.job, states=chosen.states)

    def new_id(old: str) -> str:
        return str(uuid.uuid5(IDS, f"{key}\n{old}"))

    if isinstance(chosen, Selection):
        return chosen.work(registry, actor, new_id)
    since, until = chosen.since, chosen.until
    return ReplayFired(registry, chosen.event, since, until, jobs=chosen.jobs, actor=actor, new_id=new_id)


def chosen_of(operation: BulkOperation) -> Chosen:
    """Return the filter of an operation."""
    return t.cast(Chosen, msgspec.json.decode(operation.chosen, type=Chosen))


def count(connection: Connection, registry: Registry, chosen: Chosen) -> Counted:
    """Return how many are chosen now, as far as that is quick; raises as :func:`work_of`."""
    return work_of(registry, chosen, "").count_some(connection)


def begin(
    connection: Connection, registry: Registry, chosen: Chosen, *, title: str, actor: str, form: str | None = None
) -> int:
    """Write down an operation for a worker to carry out, and return its number.

    :param form: tells one form from all others; that which it has begun already is not begun again.
    :raises OperationRefused: when nothing is chosen, or the title is none; and as :func:`work_of`.
    """
    if not title.strip() or len(title) > LONGEST_TITLE or not title.isprintable():
        raise OperationRefused(f"{shorten_repr(title)} is no title: type 1 to {LONGEST_TITLE} characters in one line.")
    begun = begun_by(connection, form)
    if begun is not None:
        return begun
    now = clock(connection)
    chosen = fixed(chosen, now)
    work = work_of(registry, chosen, actor)
    counted = work.count_some(connection)
    if not counted.count and not counted.is_more:
        raise OperationRefused("nothing is chosen: there is none, or none any more.")
    text = msgspec.json.encode(chosen, enc_hook=str.__str__).decode()
    row = {
        "bus": bus_of(connection),
        "title": title,
        "kind": json.loads(text)["kind"].partition("-")[0],
        "actor": actor,
        "chosen": text,
        "state": "pending",
        "total": counted.count,
        "done": 0,
        "left_out": 0,
        "place": json.dumps(work.place),
        "created_at": now,
        "form": form,
    }
    number = add(connection, row)
    if number is None:
        return t.cast(int, begun_by(connection, form))
    note(connection, actor, "operation-begin", operation=number, title=title, chosen=json.loads(text))
    wake_workers(connection)
    return number


def fixed(chosen: Chosen, now: float) -> Chosen:
    """Return *chosen* with an end in time, so that what is fired or ends from now on is not among it."""
    if isinstance(chosen, ChosenFired) and chosen.until is None:
        return msgspec.structs.replace(chosen, until=now)
    if isinstance(chosen, ChosenEnded):
        return msgspec.structs.replace(chosen, before=min(chosen.before, now))
    return chosen


def begun_by(connection: Connection, form: str | None) -> int | None:
    if form is None:
        return None
    mine = ours(connection, bulk_operations), bulk_operations.c.form == form
    return connection.scalar(select(bulk_operations.c.id).where(*mine))


def add(connection: Connection, row: dict[str, object]) -> int | None:
    """Write a row, and return its number; None where the same form has just written one."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    adding = insert(bulk_operations).values(row).on_conflict_do_nothing(index_elements=["bus", "form"])
    return t.cast("int | None", connection.scalar(adding.returning(bulk_operations.c.id)))


def abort(connection: Connection, number: int, actor: str) -> bool:
    """End an operation between two batches; return False when it has ended. What was done stays done.

    :raises OperationRefused: for one that is not in the log.
    """
    if operation_of(connection, number) is None:
        raise OperationRefused(f"operation {number} is not in the event log: `flask events operations` shows all.")
    mine = and_(ours(connection, bulk_operations), bulk_operations.c.id == number)
    ending = update(bulk_operations).where(mine, bulk_operations.c.finished_at.is_(None))
    if not connection.execute(ending.values(state="aborted", finished_at=clock(connection))).rowcount:
        return False
    note(connection, actor, "operation-abort", operation=number)
    return True


def operation_of(connection: Connection, number: int) -> BulkOperation | None:
    """Return an operation, by its number."""
    found = select(*COLUMNS).where(ours(connection, bulk_operations), bulk_operations.c.id == number)
    row = connection.execute(found).one_or_none()
    return None if row is None else BulkOperation(*row)


def operations_of(connection: Connection, most: int, before: int | None = None) -> list[BulkOperation]:
    """Return the newest *most* operations, newest first; only those *before* a number, when given."""
    found = select(*COLUMNS).where(ours(connection, bulk_operations)).order_by(bulk_operations.c.id.desc())
    found = found if before is None else found.where(bulk_operations.c.id < before)
    return [BulkOperation(*row) for row in connection.execute(found.limit(most))]


def title_of(chosen: Chosen) -> str:
    """Return a title for an operation that was given none."""
    if isinstance(chosen, Selection):
        return f"{VERBS[type(chosen)]} {len(chosen.ids)} selected"
    name = chosen.event if chosen.event and chosen.event.isprintable() else None
    verb = {ChosenDead: "Retry what is dead", ChosenFired: "Replay", ChosenEnded: "Purge"}[type(chosen)]
    told = verb if name is None else f"{verb} {name}" if type(chosen) is ChosenFired else f"{verb} of {name}"
    return told[:LONGEST_TITLE]
