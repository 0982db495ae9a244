"""The bulk worker: carries out the operations on many, in a thread of a worker process, batch by batch.

The place of the next batch is stored in the transaction of each batch, and only the worker that holds the operation may
write it: one that is killed has done all of a batch or nothing, and the next worker goes on right behind it.
"""

from __future__ import annotations

import json
import logging
import time
import typing as t
from threading import Event
from threading import Thread

from sqlalchemy import and_
from sqlalchemy import or_
from sqlalchemy import select
from sqlalchemy import update
from sqlalchemy.engine import Connection
from sqlalchemy.engine import Row

from .bulk_operations import COLUMNS
from .bulk_operations import BulkOperation
from .bulk_operations import Work
from .bulk_operations import chosen_of
from .bulk_operations import work_of
from .bus import ours
from .errors import CondorError
from .errors import LogUnavailable
from .errors import shorten
from .line import tell
from .log import clock
from .models import bulk_operations as table
from .operations import note

if t.TYPE_CHECKING:
    from .manager import EventsManager

LEASE = 15.0
"""Seconds for which a worker owns an operation without writing a batch."""
LOOK = 5.0
"""Seconds after which is looked for operations though no bell rang."""
SHORTEST_PAUSE = 0.005
"""Seconds between two batches at least; in all, others can write for as long as batches do."""
ERRORS_KEPT = 5

logger = logging.getLogger("flask_condor.worker")


class BulkWorker:
    """Carries out operations for one worker process, named *worker*; all but its thread is called in the main one."""

    def __init__(self, manager: EventsManager, worker: str) -> None:
        self._manager = manager
        self._worker = worker
        self._look_at = 0.0
        self._thread: Thread | None = None
        self._ending = Event()

    @property
    def is_busy(self) -> bool:
        """Whether an operation was found, and :meth:`tick` has not told of its end yet."""
        return self._thread is not None

    def wake(self) -> None:
        """Look for operations at the next tick."""
        self._look_at = 0.0

    def tick(self) -> bool:
        """Begin to carry out what is there; return whether that has ended since the last time."""
        if self._thread is not None:
            if self._thread.is_alive():
                return False
            self._thread = None
            return True
        now = time.monotonic()
        if now < self._look_at:
            return False
        with self._manager.log.read() as connection:
            is_there = connection.scalar(waiting(connection, self._worker)) is not None
        self._look_at = now + LOOK
        if is_there:
            self._thread = Thread(target=self._carry_out, name="condor-operation", daemon=True)
            self._thread.start()
        return False

    def end(self, seconds: float = 5.0) -> None:
        """End after the batch that is being done, and give the operation back, so that it goes on elsewhere at once."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(seconds)

    def _carry_out(self) -> None:
        try:
            with self._manager.app.app_context():
                while not self._ending.is_set() and self._carry_out_one():
                    continue
        except LogUnavailable as error:
            text = "the operation on many was interrupted: %s It goes on when the database is back."
            tell(logger, "operation_interrupted", text, error, worker=self._worker)

    def _carry_out_one(self) -> bool:
        log = self._manager.log
        with log.begin("no operation was begun") as connection:
            operation = take(connection, self._worker)
        if operation is None:
            return False
        try:
            self._do_all(operation)
        except LogUnavailable:
            raise
        except Exception as error:  # the border of an operation: whatever is wrong with it, the next one is carried out
            told = str(error) if isinstance(error, CondorError) else f"{type(error).__name__}: {shorten(error)}"
            text = "operation %d (%s) failed: %s What was done stays done."
            tell(logger, "operation_failed", text, operation.id, operation.title, told, worker=self._worker)
            with log.begin(f"the failure of operation {operation.id} was not written") as connection:
                if held(connection, operation.id, self._worker) is not None:
                    close(connection, operation, "failed", error=told)
        return True

    def _do_all(self, operation: BulkOperation) -> None:
        log = self._manager.log
        key = f"{operation.id} {operation.created_at!r}"
        work = work_of(self._manager.registry, chosen_of(operation), operation.actor, key)
        if not (operation.done or operation.left_out):
            self._count(operation, work)
        state: str | None = None
        while state is None:
            if self._ending.is_set():
                with log.begin("the operation was not given back") as connection:
                    give_back(connection, operation.id, self._worker)
                return
            began = time.monotonic()
            with log.begin(f"operation {operation.id} was not carried out") as connection:
                state = do_batch(connection, operation, self._worker, work)
            self._ending.wait(max(SHORTEST_PAUSE, time.monotonic() - began))
        if state == "done":
            tell(logger, "operation_done", "operation %d (%s) is done", operation.id, operation.title)

    def _count(self, operation: BulkOperation, work: Work) -> None:
        """Count exactly, as a page that previews it has no time to."""
        with self._manager.log.read() as connection:
            place = connection.scalar(select(table.c.place).where(table.c.id == operation.id))
            work.place = json.loads(t.cast(str, place))
            total = work.count(connection)
        with self._manager.log.begin("the operation was not begun") as connection:
            mine = and_(table.c.id == operation.id, table.c.worker == self._worker)
            connection.execute(update(table).where(mine).values(total=total))


def waiting(connection: Connection, worker: str) -> t.Any:
    """Return the statement that finds the first operation that *worker* may take."""
    now = clock(connection)
    lease = table.c.lease_until
    is_free = or_(table.c.worker.is_(None), table.c.worker == worker, lease < now, lease > now + 2 * LEASE)
    return select(*COLUMNS).where(ours(connection, table), table.c.finished_at.is_(None), is_free).order_by(table.c.id)


def take(connection: Connection, worker: str) -> BulkOperation | None:
    """Let *worker* hold the first operation that no other holds, or that one has lost; None when there is none."""
    row = connection.execute(waiting(connection, worker).limit(1).with_for_update(skip_locked=True)).one_or_none()
    if row is None:
        return None
    now = clock(connection)
    values = {"state": "running", "worker": worker, "lease_until": now + LEASE, "started_at": row.started_at or now}
    connection.execute(update(table).where(table.c.id == row.id).values(values))
    return BulkOperation(*row)


def held(connection: Connection, number: int, worker: str) -> Row[t.Any] | None:
    """Return the row of an operation that *worker* still holds, and that was not aborted, locked; else None."""
    found = select(table).where(table.c.id == number, table.c.worker == worker, table.c.finished_at.is_(None))
    return connection.execute(found.with_for_update()).one_or_none()


def do_batch(connection: Connection, operation: BulkOperation, worker: str, work: Work) -> str | None:
    """Do the next batch of an operation; return "done" or "lost" when there is nothing more for this worker to do."""
    row = held(connection, operation.id, worker)
    if row is None:
        return "lost"
    work.place = json.loads(row.place)
    left_out: list[str] = getattr(work, "left_out", [])
    left_out.clear()
    done = work.batch(connection)
    errors = [*(row.error or "").splitlines(), *left_out][:ERRORS_KEPT]
    values = {
        "place": json.dumps(work.place),
        "done": row.done + done,
        "left_out": row.left_out + len(left_out),
        "error": "\n".join(errors) or None,
        "lease_until": clock(connection) + LEASE,
    }
    connection.execute(update(table).where(table.c.id == row.id).values(values))
    if not work.is_over:
        return None
    close(connection, operation, "done", error=values["error"])
    return "done"


def close(connection: Connection, operation: BulkOperation, state: str, *, error: str | None) -> None:
    """End an operation that is held."""
    ended = {"state": state, "error": error, "finished_at": clock(connection), "lease_until": None}
    closed = update(table).where(table.c.id == operation.id).values(ended).returning(table.c.done, table.c.left_out)
    done, left_out = connection.execute(closed).one()
    told = {"state": state, "error": error, "done": done, "left_out": left_out}
    note(connection, operation.actor, "operation-end", operation=operation.id, result=told)


def give_back(connection: Connection, number: int, worker: str) -> None:
    """Let another worker take an operation up at once."""
    mine = and_(table.c.id == number, table.c.worker == worker, table.c.finished_at.is_(None))
    connection.execute(update(table).where(mine).values(worker=None, lease_until=None))
