"""The forgetting: one delivery that has ended is deleted before its time, with its attempts; audited."""

from __future__ import annotations

from sqlalchemy import delete
from sqlalchemy import select
from sqlalchemy.engine import Connection

from .bus import ours
from .errors import OperationRefused
from .failures import forget_attempts
from .models import deliveries
from .operations import check_known
from .operations import note

ENDED = ("done", "dead", "cancelled")


def forget(connection: Connection, id: int, actor: str) -> None:
    """Delete the delivery with that number, its error and its result; its event stays until it is pruned.

    :raises OperationRefused: for one that is not in the log, or that has not ended.
    """
    check_known(connection, id)
    chosen = select(deliveries).where(ours(connection, deliveries), deliveries.c.id == id).with_for_update()
    row = connection.execute(chosen).one()
    if row.state not in ENDED:
        cure = f"cancel it first: flask events cancel {id}" if row.state == "pending" else "wait until it has ended"
        raise OperationRefused(f"delivery {id} is {row.state}, and only what has ended is forgotten: {cure}.")
    forget_attempts(connection, [id])
    connection.execute(delete(deliveries).where(deliveries.c.id == id))
    was = {"job": row.job, "state": row.state}
    note(connection, actor, "forget", event_id=row.event_id, delivery_id=id, was=was)
