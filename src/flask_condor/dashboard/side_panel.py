"""The side panel: a glance at one event beside a list, named by ``?panel=`` in the URL of the list's page."""

from __future__ import annotations

import typing as t
from collections import Counter

import msgspec

from ..history import Run
from ..history import Stored
from ..history import event_of
from ..history import runs_of
from .here import redaction
from .query import text
from .reading.fired import status_of
from .shown_payload import ShownPayload
from .traces import summary_of

if t.TYPE_CHECKING:
    from sqlalchemy.engine import Connection


class SidePanel(msgspec.Struct, frozen=True):
    """What the panel shows: of secrets no more than the event's own page does before one reveals them."""

    id: str
    event: Stored | None
    """None when it is not in the log, or not any more."""
    word: str = ""
    payload: ShownPayload | None = None
    runs: list[tuple[Run, str]] = []
    """Each with the summary of its last error."""


def panel_here(connection: Connection) -> SidePanel | None:
    """Return the panel that the query string asks for; None where it asks for none."""
    id = text("panel", most=255)
    if id is None:
        return None
    stored = event_of(connection, id)
    if stored is None:
        return SidePanel(id, None)
    runs, hide = runs_of(connection, id), redaction()
    return SidePanel(
        id,
        stored,
        status_of(Counter[str](run.state for run in runs), is_orphan=stored.is_orphan),
        ShownPayload.of(stored, revealed=False),
        [(run, summary_of(hide, run.error)) for run in runs],
    )
