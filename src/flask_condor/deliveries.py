"""The moves of a delivery that a worker has claimed, one function each, in the transaction that it is given.

Only the claim's holder, told by (id, worker, attempt), can move a running delivery; whoever lost it is refused.
"""

from __future__ import annotations

import typing as t
from collections.abc import Collection
from collections.abc import Sequence

import msgspec
from sqlalchemy import ColumnElement
from sqlalchemy import and_
from sqlalchemy import bindparam
from sqlalchemy import or_
from sqlalchemy import select
from sqlalchemy import update
from sqlalchemy.engine import Connection
from sqlalchemy.engine import Row

from .begun import Left
from .bus import ours
from .claims import ALONE
from .claims import LEASE
from .claims import LOST
from .claims import NAME
from .claims import Claim
from .claims import Pair
from .failures import Failed
from .failures import add_failures
from .kept_lines import KeptLines
from .kept_lines import add_lines
from .log import clock
from .models import RUNNING
from .models import deliveries
from .rates import Finished
from .rates import add_runs
from .redacting import redact_ended
from .storable import Failure
from .writing import wake_workers

MOMENT = 0.001
"""Seconds, by which a lease has run out that ends now."""


class Outcome(msgspec.Struct, frozen=True):
    """What one run gave: "failed" when it is to be tried again, in *wait* seconds."""

    claim: Claim
    kind: t.Literal["done", "failed", "dead"]
    seconds: float
    result: str | None = None
    """What the job returned, as JSON; None for None."""
    failure: Failure | None = None
    """None only of one that is done."""
    wait: float = 0.0
    lines: str | None = None
    """What the job logged."""
    is_parked: bool = False
    """Whether it was not begun, and is left to a worker that can read the payload; the start is then not counted."""

    @property
    def error(self) -> str | None:
        """The text of the error."""
        return None if self.failure is None else self.failure.text


class Reaped(msgspec.Struct, frozen=True):
    """A delivery whose worker was lost, and what became of it."""

    id: int
    event_id: str
    name: str
    job: str
    attempt: int
    worker: str
    is_dead: bool


class Known(t.Protocol):
    """Tells what becomes of the lost deliveries of a job."""

    def lost_for_good(self, pair: Pair, attempt: int, losses: int, *, alone: bool) -> bool: ...

    @property
    def pairs(self) -> Collection[Pair]: ...


def finish(connection: Connection, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Write *outcomes*, and count them in the rates; return those that were written.

    One is refused when its claim was lost meanwhile. Call it last in its transaction (see :func:`add_runs`).
    """
    valid = valid_of(connection, [outcome.claim for outcome in outcomes])
    kept = [outcome for outcome in outcomes if outcome.claim.id in valid]
    if not kept:
        return []
    now = clock(connection)
    plain, others, failed = by_effort(kept, now)
    if plain:
        done = update(deliveries).where(deliveries.c.id.in_(plain))
        connection.execute(done.values(state="done", lease_until=None, finished_at=now, error=None, result=None))
    if others:
        connection.execute(update(deliveries).where(deliveries.c.id == bindparam("of")), others)
    if failed:
        end_failed(connection, failed, now)
    add_lines(connection, [KeptLines(o.claim.id, now, o.lines) for o in kept if o.lines is not None])
    redact_ended(connection, {outcome.claim.event.id for outcome in kept})
    add_runs(connection, runs_of(kept, now))
    return kept


def runs_of(outcomes: Sequence[Outcome], now: float) -> list[Finished]:
    ran = [one for one in outcomes if not one.is_parked]
    return [Finished(one.claim.event.name, one.claim.job, one.kind, now, one.seconds) for one in ran]


def by_effort(
    outcomes: Sequence[Outcome], now: float
) -> tuple[list[int], list[dict[str, t.Any]], list[tuple[Outcome, Failure]]]:
    """Return the numbers of the deliveries that are simply done, the changes of the others, and what failed."""
    plain, others, failed = [], [], []
    for outcome in outcomes:
        if outcome.is_parked:
            others.append(ended(outcome, now))
        elif outcome.failure is not None:
            failed.append((outcome, outcome.failure))
        elif outcome.kind == "done" and outcome.result is None:
            plain.append(outcome.claim.id)
        else:
            others.append(ended(outcome, now))
    return plain, others, failed


def end_failed(connection: Connection, failed: Sequence[tuple[Outcome, Failure]], now: float) -> None:
    attempts = [
        Failed(
            one.claim.id,
            one.claim.attempt,
            one.claim.event.name,
            one.claim.job,
            "failed" if one.kind == "failed" else "dead",
            one.claim.worker.removesuffix(ALONE),
            now - one.seconds,
            now,
            failure,
        )
        for one, failure in failed
    ]
    groups = add_failures(connection, attempts)
    changes = [ended(one, now) | {"failure_id": group} for (one, _), group in zip(failed, groups, strict=True)]
    connection.execute(update(deliveries).where(deliveries.c.id == bindparam("of")), changes)


def ended(outcome: Outcome, now: float) -> dict[str, t.Any]:
    again = outcome.kind == "failed"
    lost_before = LOST if outcome.is_parked and outcome.claim.was_lost else None
    return {
        "of": outcome.claim.id,
        "state": "pending" if again else outcome.kind,
        "attempt": outcome.claim.attempt - outcome.is_parked,
        "worker": lost_before if again else outcome.claim.worker,
        "lease_until": None,
        "due_at": now + outcome.wait if again else outcome.claim.due_at,
        "finished_at": None if again else now,
        "error": outcome.error,
        "result": outcome.result,
    }


def valid_of(connection: Connection, claims: Collection[Claim]) -> set[int]:
    """Return the ids of those of *claims* that are still valid, and keep them so until the transaction ends."""
    ids = [one.id for one in claims]
    rows = connection.execute(
        select(deliveries.c.id, deliveries.c.worker, deliveries.c.attempt)
        .where(deliveries.c.id.in_(ids), RUNNING)
        .order_by(deliveries.c.id)
        .with_for_update()
    )
    running = {(row.id, row.worker, row.attempt) for row in rows}
    return {one.id for one in claims if (one.id, one.worker, one.attempt) in running}


def heartbeat(connection: Connection, claims: Collection[Claim]) -> int:
    """Renew the lease of *claims*; return how many are still valid."""
    valid = valid_of(connection, claims)
    renewing = update(deliveries).where(deliveries.c.id.in_(valid))
    connection.execute(renewing.values(lease_until=clock(connection) + LEASE))
    return len(valid)


def leave_alone_no_more(connection: Connection, one: Claim, worker: str) -> bool:
    """Let others stand beside *one*, which was claimed alone: its loss would tell nothing then. False when lost."""
    valid = valid_of(connection, [one])
    connection.execute(update(deliveries).where(deliveries.c.id.in_(valid)).values(worker=worker))
    return bool(valid)


def release(connection: Connection, claims: Collection[Claim], *, started: bool) -> int:
    """Give *claims* back, due as they were; return how many were still valid.

    :param started: whether the jobs had begun; the attempt then stays counted, so that the next has a higher number.
    """
    valid = valid_of(connection, claims)
    give_back(connection, valid, lost_before={one.id for one in claims if one.was_lost} & valid, started=started)
    return len(valid)


def give_back(connection: Connection, ids: Collection[int], *, lost_before: Collection[int], started: bool) -> None:
    if not ids:
        return
    giving = update(deliveries).where(deliveries.c.id.in_(ids))
    values: dict[str, t.Any] = {"state": "pending", "worker": None, "lease_until": None}
    if not started:
        values["attempt"] = deliveries.c.attempt - 1
    connection.execute(giving.values(values))
    connection.execute(update(deliveries).where(deliveries.c.id.in_(lost_before)).values(worker=LOST))
    wake_workers(connection)


def take_back(connection: Connection, left: Left) -> int:
    """Give back what a worker that is no more had claimed and not begun; return how much that was.

    What it had begun loses its lease, for :func:`reap` to find.
    """
    held = and_(RUNNING, ours(connection, deliveries), deliveries.c.worker.in_([left.worker, left.worker + ALONE]))
    rows = connection.execute(
        select(deliveries.c.id, deliveries.c.worker).where(held).order_by(deliveries.c.id).with_for_update()
    ).all()
    waiting = {row.id for row in rows if row.id not in left.begun}
    alone = {row.id for row in rows if row.worker.endswith(ALONE)} & waiting
    give_back(connection, waiting, lost_before=alone, started=False)
    connection.execute(update(deliveries).where(held).values(lease_until=clock(connection) - MOMENT))
    return len(waiting)


def reap(connection: Connection, known: Known) -> list[Reaped]:
    """Take back the deliveries whose lease ran out, and return them: pending again, or dead.

    Those of jobs not in *known* are left to a worker that can tell whether they may run again. A lease that ends too
    far ahead was given before the clock was set back, and its worker has not renewed it since.
    """
    now = clock(connection)
    ran_out: ColumnElement[bool] = or_(deliveries.c.lease_until < now, deliveries.c.lease_until > now + 2 * LEASE)
    rows = connection.execute(
        select(deliveries, NAME.label("name"))
        .where(RUNNING, ours(connection, deliveries), ran_out)
        .order_by(deliveries.c.id)
        .with_for_update(skip_locked=True)
    ).all()
    lost = [row for row in rows if (row.name, row.job) in known.pairs]
    if not lost:
        return []
    changes, reaped, runs, failed = [], [], [], []
    for row in lost:
        alone = row.worker.endswith(ALONE)
        losses = row.losses + alone
        is_dead = known.lost_for_good((row.name, row.job), row.attempt, losses, alone=alone)
        outcome: t.Literal["dead", "lost"] = "dead" if is_dead else "lost"
        changes.append(taken_back(row, now, losses, is_dead=is_dead))
        reaped.append(Reaped(row.id, row.event_id, row.name, row.job, row.attempt, row.worker, is_dead))
        failed.append(lost_attempt(row, now, outcome, changes[-1]["error"]))
        runs.append(Finished(row.name, row.job, outcome, now, failed[-1].ended_at - row.started_at))
    for change, group in zip(changes, add_failures(connection, failed), strict=True):
        change["failure_id"] = group
    connection.execute(update(deliveries).where(deliveries.c.id == bindparam("of")), changes)
    add_runs(connection, runs)
    return reaped


def taken_back(row: Row[t.Any], now: float, losses: int, *, is_dead: bool) -> dict[str, t.Any]:
    error = f"attempt {row.attempt}: its worker {row.worker.removesuffix(ALONE)} was lost while the job ran"
    return {
        "of": row.id,
        "state": "dead" if is_dead else "pending",
        "worker": row.worker if is_dead else LOST,
        "lease_until": None,
        "finished_at": now if is_dead else None,
        "losses": losses,
        "error": error,
    }


def lost_attempt(row: Row[t.Any], now: float, outcome: t.Literal["dead", "lost"], error: str) -> Failed:
    worker, ended = row.worker.removesuffix(ALONE), min(now, row.lease_until)
    lost = Failure("WorkerLost", "", error)
    return Failed(row.id, row.attempt, row.name, row.job, outcome, worker, row.started_at, ended, lost)
