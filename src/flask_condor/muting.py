"""The muting: failures that somebody knows of already are set aside, with a note, and taken up again; each audited."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy import update
from sqlalchemy.engine import Connection

from .bus import ours
from .errors import OperationRefused
from .log import clock
from .models import failures
from .operations import note

LONGEST_NOTE = 500
"""Characters."""


def mute(connection: Connection, id: int, why: str, actor: str) -> bool:
    """Set the failure with that number aside, with a note *why*; return whether it was not muted so already.

    It goes on being counted, and is not told of until it is unmuted, or forgotten as nothing has failed so for long.

    :raises OperationRefused: for a failure that is not in the log, or a note that is too long.
    """
    if len(why) > LONGEST_NOTE:
        raise OperationRefused(f"the note has {len(why)} characters, allowed are {LONGEST_NOTE}: shorten it.")
    return change(connection, id, actor, "mute", clock(connection), why)


def unmute(connection: Connection, id: int, actor: str) -> bool:
    """Take the failure with that number up again; return whether it was muted.

    :raises OperationRefused: for a failure that is not in the log.
    """
    return change(connection, id, actor, "unmute", None, "")


def change(connection: Connection, id: int, actor: str, action: str, muted_at: float | None, why: str) -> bool:
    chosen = select(failures).where(ours(connection, failures), failures.c.id == id).with_for_update()
    row = connection.execute(chosen).one_or_none()
    if row is None:
        told = "it never happened, or was forgotten as nothing had failed so for long."
        raise OperationRefused(f"failure {id} is not in the event log: {told} `flask events failures` lists them.")
    if (row.muted_at is None) == (muted_at is None) and row.note == why:
        return False
    connection.execute(update(failures).where(failures.c.id == id).values(muted_at=muted_at, note=why))
    note(connection, actor, action, failure=id, job=row.job, error=row.error_type, why=why)
    return True
