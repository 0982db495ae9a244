"""The redaction of what is stored (``CONDOR_REDACT_STORED``): secrets are kept no longer than a job may need them."""

from __future__ import annotations

import json
import typing as t
from collections.abc import Collection

from sqlalchemy import and_
from sqlalchemy import exists
from sqlalchemy import not_
from sqlalchemy import select
from sqlalchemy import update
from sqlalchemy.engine import Connection

from .models import deliveries
from .models import events
from .redaction import Redaction

REDACTION = "condor_redaction"
"""The execution option that holds the :class:`Redaction` of the app, of the log's engine and so of its connections."""
IS_STORED = "condor_redact_stored"
"""The one that tells whether it holds for what is stored, too."""

NEEDED = exists().where(
    deliveries.c.event_id == events.c.id,
    deliveries.c.run == "queued",
    deliveries.c.state.in_(("pending", "running", "dead")),
)
"""A dead delivery may be retried, so that its payload stays as it was until then, or until it is pruned."""
REPLAYABLE = and_(events.c.is_replayable, not_(events.c.is_redacted))


def redaction_of(connection: Connection) -> Redaction | None:
    """Return what hides secrets in what a transaction of the log stores; None where they are stored."""
    options = connection.get_execution_options()
    return t.cast("Redaction | None", options.get(REDACTION) if options.get(IS_STORED) else None)


def shown_payload(connection: Connection, payload: str) -> t.Any:
    """Return what a stored payload holds, without its secrets: for what is shown."""
    redaction = t.cast(Redaction, connection.get_execution_options().get(REDACTION) or Redaction())
    return hidden_in(json.loads(payload), redaction)


def redacted(payload: str, redaction: Redaction | None) -> tuple[str, bool]:
    """Return a JSON text without its secrets, and whether there were any."""
    if redaction is None:
        return payload, False
    value = json.loads(payload)
    shown = hidden_in(value, redaction)
    return (payload, False) if shown == value else (json.dumps(shown, ensure_ascii=False), True)


def hidden_in(value: t.Any, redaction: Redaction) -> t.Any:
    """Return a payload without its secrets; one that is a text may be the ``repr`` of an object."""
    return redaction.of_text(value) if isinstance(value, str) else redaction.of(value)


def redact_ended(connection: Connection, ids: Collection[str]) -> None:
    """Redact the stored payloads of those of the events *ids* whose queued jobs are all done or cancelled."""
    redaction = redaction_of(connection)
    if redaction is None or not ids:
        return
    mine = events.c.id.in_(ids)
    # locked first: of two transactions that end the last two jobs of an event, one shall see what the other did
    connection.execute(select(events.c.id).where(mine).order_by(events.c.id).with_for_update(key_share=True)).all()
    ended = select(events.c.id, events.c.payload).where(mine, REPLAYABLE, ~NEEDED)
    for id, payload in connection.execute(ended).all():
        shown, is_redacted = redacted(payload, redaction)
        if is_redacted:
            connection.execute(update(events).where(events.c.id == id).values(payload=shown, is_redacted=True))
