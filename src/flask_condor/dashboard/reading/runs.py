"""The runs of jobs, newest first, by what a person asks for; each page costs the same however many are stored."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator

import msgspec
from sqlalchemy import ColumnElement
from sqlalchemy import and_
from sqlalchemy import func
from sqlalchemy import or_
from sqlalchemy import select
from sqlalchemy.engine import Connection
from sqlalchemy.engine import Row

from ...bus import ours
from ...claims import ALONE
from ...claims import NAME
from ...history import is_job
from ...models import DEAD
from ...models import PENDING
from ...models import RUNNING
from ...models import TRIED
from ...models import deliveries

STATES = ("waiting", "scheduled", "running", "retrying", "dead", "done", "cancelled")
"""Waiting are those that are pending and due, scheduled those that are not due yet; retrying are pending ones that
have been tried already."""
OPEN = ("waiting", "scheduled")
INDEXED = ("retrying", "running", "dead")
"""Those to which an index leads in the order of their numbers."""
LOOKED_AT = 20_000
"""How many runs are looked at for one page, one beside the other as they were written."""
SCATTERED = 5000
"""Likewise, where an index leads to runs in the wanted state that stand anywhere."""
PAGES = 20
IN_A_PAGE = 1000
SUMMARY = 300
"""Characters of an error in a list."""


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs are wanted: those that meet all that is not None; times are seconds since 1970 UTC."""

    now: float
    job: str | None = None
    """The name of a job, or its path ("module:qualname")."""
    name: str | None = None
    """That of the event."""
    state: str | None = None
    """One of :data:`STATES`."""
    run: str | None = None
    attempt: int | None = None
    """At least so many attempts."""
    seconds: float | None = None
    """Longer than so many seconds."""
    worker: str | None = None
    failure: int | None = None
    """The number of the failure that their last error is of."""
    since: float | None = None
    """Of those that are done or cancelled: ended since then, and before *until*."""
    until: float | None = None
    is_time_of_dead: bool = False
    """Whether that time goes for dead ones too."""

    def unindexed(self) -> list[ColumnElement[bool]]:
        """Return the conditions that are looked at run by run."""
        # by coalesce, as SQLite else takes it for a reason to look through the index of all that have ended
        took = func.coalesce(deliveries.c.finished_at - deliveries.c.started_at, 0.0)
        conditions = {
            "job": lambda: is_job(t.cast(str, self.job)),
            "name": lambda: NAME == self.name,
            "run": lambda: deliveries.c.run == self.run,
            "attempt": lambda: deliveries.c.attempt >= self.attempt,
            "seconds": lambda: took > self.seconds,
            "worker": lambda: deliveries.c.worker.in_((self.worker, f"{self.worker}{ALONE}")),
            "failure": lambda: deliveries.c.failure_id == self.failure,
            "since": self._in_time,
        }
        timeless = () if self._has_time else ("since",)
        wanted = [field for field in conditions if field not in timeless and getattr(self, field) is not None]
        return [conditions[field]() for field in wanted]

    @property
    def _has_time(self) -> bool:
        return self.is_time_of_dead if self.state == "dead" else self.state not in (*OPEN, "retrying", "running")

    def _in_time(self) -> ColumnElement[bool]:
        ends = deliveries.c.finished_at
        within = and_(ends >= self.since, ends < self.until)
        free: ColumnElement[bool] = ends.is_(None)
        return or_(free, within) if self.is_time_of_dead else or_(free, within, DEAD)

    @property
    def number(self) -> ColumnElement[int]:
        """What rare ones are sorted by; a sum where the order of its index would lead through all that do not wait."""
        return deliveries.c.id + 0 if self.state in OPEN else deliveries.c.id

    def in_state(self, pending: ColumnElement[bool]) -> list[ColumnElement[bool]]:
        """Return the conditions of the state; *pending* is that of pending ones, by an index or without."""
        conditions: dict[str | None, list[ColumnElement[bool]]] = {
            None: [],
            "waiting": [pending, deliveries.c.due_at <= self.now],
            "scheduled": [pending, deliveries.c.due_at > self.now],
            "retrying": [TRIED],
            "running": [RUNNING],
            "dead": [DEAD] if self.failure is None else [DEAD, deliveries.c.failure_id == self.failure],
        }
        return conditions.get(self.state, [deliveries.c.state == self.state])


class Listed(msgspec.Struct, frozen=True):
    """A run in a list."""

    id: int
    event_id: str
    name: str
    job: str
    run: str
    queue: str
    state: str
    attempt: int
    due_at: float
    started_at: float | None
    finished_at: float | None
    worker: str | None
    failure_id: int | None
    error: str | None
    """Its beginning."""

    @property
    def seconds(self) -> float | None:
        """How long the last attempt took."""
        known = self.started_at is not None and self.finished_at is not None
        return max(0.0, t.cast(float, self.finished_at) - t.cast(float, self.started_at)) if known else None

    @property
    def can_be_retried(self) -> bool:
        return self.run == "queued" and self.state in ("dead", "cancelled")


class Page(msgspec.Struct, frozen=True):
    """A page of runs."""

    rows: list[Listed]
    place: int | None
    """Before which number the next page begins; None when there is none."""
    was_cut: bool
    """Whether there may be more of them, further back than was looked."""


COLUMNS: tuple[t.Any, ...] = (
    *(deliveries.c.id, deliveries.c.event_id, NAME.label("name"), deliveries.c.job, deliveries.c.run),
    *(deliveries.c.queue, deliveries.c.state, deliveries.c.attempt, deliveries.c.due_at, deliveries.c.started_at),
    *(deliveries.c.finished_at, deliveries.c.worker, deliveries.c.failure_id),
    func.substr(deliveries.c.error, 1, SUMMARY),
)


def runs(connection: Connection, chosen: Chosen, most: int, before: int | None = None) -> Page:
    """Return the newest *most* of the *chosen* runs, newest first.

    :param before: only those with a lower number.
    """
    top = before or (connection.scalar(select(func.max(deliveries.c.id))) or 0) + 1
    below, others = and_(deliveries.c.id < top, ours(connection, deliveries)), chosen.unindexed()
    found, bottom = select(*COLUMNS), 0
    if not is_rare(connection, chosen):
        bottom = max(0, top - LOOKED_AT)
        found = found.where(below, deliveries.c.id >= bottom, *chosen.in_state(deliveries.c.state == "pending"))
    elif not others:
        some = select(deliveries.c.id).where(below, *chosen.in_state(PENDING)).order_by(chosen.number.desc())
        found = found.where(deliveries.c.id.in_(some.limit(most + 1)))
    else:
        some = select(deliveries.c.id).where(below, *chosen.in_state(PENDING))
        some = some.order_by(deliveries.c.id.desc()).limit(SCATTERED)
        part = some.subquery()
        least, count = connection.execute(select(func.min(part.c.id), func.count(part.c.id))).one()
        bottom = least if count == SCATTERED else 0
        found = found.where(deliveries.c.id.in_(some))
    found = found.where(*others).order_by(deliveries.c.id.desc()).limit(most + 1)
    rows = [Listed(*row) for row in connection.execute(found)]
    if len(rows) > most:
        return Page(rows[:most], rows[most - 1].id, was_cut=False)
    has_more = bottom > 0 and connection.scalar(select(deliveries.c.id).where(deliveries.c.id < bottom).limit(1))
    return Page(rows, bottom if has_more else None, was_cut=bool(has_more))


def is_rare(connection: Connection, chosen: Chosen) -> bool:
    """Tell whether an index leads to those in the wanted state, who are fewer than what would be looked at without."""
    if chosen.state not in OPEN:
        return chosen.state in INDEXED
    some = select(deliveries.c.id).where(ours(connection, deliveries), PENDING).limit(LOOKED_AT).subquery()
    return (connection.scalar(select(func.count()).select_from(some)) or 0) < LOOKED_AT


def each_run(connection: Connection, chosen: Chosen, most: int) -> Iterator[Listed]:
    """Return the newest *most* of the chosen runs, of the pages that are there within :data:`PAGES` looks."""
    before, left = None, most
    for _ in range(PAGES):
        page = runs(connection, chosen, min(left, IN_A_PAGE), before)
        yield from page.rows
        before, left = page.place, left - len(page.rows)
        if before is None or left <= 0:
            return


def run_of(connection: Connection, id: int) -> Row[t.Any] | None:
    """Return the delivery with that number, with the ``name`` of its event; None when there is none."""
    found = select(deliveries, NAME.label("name")).where(ours(connection, deliveries), deliveries.c.id == id)
    return connection.execute(found).one_or_none()
