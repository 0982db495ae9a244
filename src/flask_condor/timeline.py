"""The timeline: the attempts that a delivery has had, in their order, and the waits between them."""

from __future__ import annotations

import typing as t
from collections.abc import Collection

import msgspec
from sqlalchemy import func
from sqlalchemy import select
from sqlalchemy.engine import Connection

from .bus import ours
from .kept_lines import lines_of
from .models import attempts
from .models import deliveries

MOST = 1000
"""How many attempts are read at once: the latest."""


class Step(msgspec.Struct, frozen=True):
    """An attempt of a delivery; the times are seconds since 1970 UTC."""

    number: int
    """Counted from 1, and anew after a retry by hand."""
    outcome: t.Literal["failed", "dead", "lost", "done", "running"]
    started_at: float | None
    ended_at: float | None
    """None while it runs."""
    worker: str | None
    error: str | None
    failure_id: int | None
    next_at: float | None = None
    """When the following one began, or is due; None when none follows."""
    lines: str | None = None
    """What the job logged."""

    @property
    def seconds(self) -> float | None:
        """How long it took."""
        return None if self.started_at is None or self.ended_at is None else max(0.0, self.ended_at - self.started_at)

    @property
    def wait(self) -> float | None:
        """How many seconds lie between its end and the following attempt."""
        return None if self.next_at is None or self.ended_at is None else max(0.0, self.next_at - self.ended_at)


def attempts_of(
    connection: Connection, delivery_ids: Collection[int], *, shown: int | None = None
) -> dict[int, list[Step]]:
    """Return the attempts of each delivery, the oldest first; none of one that has not begun.

    :param shown: how many characters of each error; all when None.
    """
    found = select(deliveries).where(ours(connection, deliveries), deliveries.c.id.in_(delivery_ids))
    runs = {row.id: row for row in connection.execute(found)}
    error = attempts.c.error if shown is None else func.substr(attempts.c.error, 1, shown)
    of = [attempts.c[name] for name in ("delivery_id", "attempt", "outcome", "started_at", "ended_at", "worker")]
    kept = select(*of, error.label("error"), attempts.c.failure_id).where(attempts.c.delivery_id.in_(list(runs)))
    steps: dict[int, list[Step]] = {id: [] for id in runs}
    for id, *values in reversed(connection.execute(kept.order_by(attempts.c.id.desc()).limit(MOST)).all()):
        steps[id].append(Step(*values))
    lines = lines_of(connection, list(runs))
    for id, row in runs.items():
        told = [with_lines(step, lines.get((id, step.ended_at or 0.0))) for step in (*steps[id], *last_of(row))]
        steps[id] = with_waits(told, row)
    return steps


def last_of(row: t.Any) -> list[Step]:
    """Return the attempt that only the delivery's own row tells of: one that runs, or that is done."""
    if row.state not in ("running", "done") or row.started_at is None:
        return []
    return [Step(row.attempt, row.state, row.started_at, row.finished_at, row.worker, None, None)]


def with_lines(step: Step, lines: str | None) -> Step:
    return step if lines is None else msgspec.structs.replace(step, lines=lines)


def with_waits(steps: list[Step], row: t.Any) -> list[Step]:
    """Return *steps*, each with the beginning of the following one."""
    following = [step.started_at for step in steps[1:]]
    following.append(row.due_at if row.state == "pending" and steps else None)
    return [msgspec.structs.replace(step, next_at=at) for step, at in zip(steps, following, strict=False)]
