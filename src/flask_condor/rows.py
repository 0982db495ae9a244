"""Rows: what an event and its deliveries are in the tables of the event log, and the event that a row stands for."""

from __future__ import annotations

import json
import typing as t
from collections.abc import Mapping

from sqlalchemy.engine import Row

from .event import Cause
from .event import Event
from .event import Family
from .event import Origin
from .payload import from_json

if t.TYPE_CHECKING:
    from .job import Rules


NO_RECEIPT: dict[str, t.Any] = dict.fromkeys(("digest", "form", "sender", "address", "key", "headers", "repeats"))
"""The columns of an event that came over HTTP, as they are of others."""


class Deliverable(t.Protocol):
    """What a delivery is written for: a job, with the rules of its registration."""

    @property
    def path(self) -> str: ...

    @property
    def rules(self) -> Rules: ...


OF_A_REQUEST = Origin("handler", None, (), Family())
"""Of an event that has no origin."""


def event_row(  # noqa: PLR0913  # all but three by keyword
    event: Event[t.Any],
    payload: str,
    bus: str,
    *,
    is_orphan: bool,
    is_replayable: bool = True,
    is_redacted: bool = False,
    replay_of: str | None = None,
    receipt: Mapping[str, t.Any] = NO_RECEIPT,
) -> dict[str, t.Any]:
    """Return the row of *event* in ``condor_events``, in the order of its columns."""
    id, origin = event.id, event._origin or OF_A_REQUEST
    cause = origin.cause
    return {
        "id": id,
        "name": str.__str__(event.name),
        "payload": payload,
        "is_replayable": is_replayable,
        "is_orphan": is_orphan,
        "source": origin.source,
        "fired_at": event._made_at,
        "root_id": origin.family.root_id if origin.path else id,
        "path": json.dumps(origin.path) if origin.path else "[]",
        "cause_id": cause.event_id if cause else None,
        "cause_name": cause.event_name if cause else None,
        "cause_job": cause.job if cause else None,
        "replay_of": replay_of,
        "trace": origin.trace,
        "is_redacted": is_redacted,
        "subject": origin.subject,
        "bus": bus,
        **receipt,
    }


def delivery_row(event_id: str, job: Deliverable, bus: str) -> dict[str, t.Any]:
    return {
        "event_id": event_id,
        "job": job.path,
        "run": "queued",
        "queue": job.rules.queue,
        "priority": job.rules.priority,
        "state": "pending",
        "attempt": 0,
        "losses": 0,
        "bus": bus,
    }


def event_from(row: Row[t.Any], payload_from: t.Any = lambda _, text: from_json(text)) -> Event[t.Any]:
    """Return the event of a row of ``condor_events``.

    :param payload_from: makes the payload of an event's name and the stored text.
    """
    cause = None if row.cause_id is None else Cause(row.cause_id, row.cause_name, row.cause_job)
    origin = Origin(row.source, cause, tuple(json.loads(row.path)), Family(row.root_id), row.trace, row.subject)
    return Event(row.name, payload_from(row.name, row.payload), row.id, row.fired_at, origin)
