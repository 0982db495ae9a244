"""The selecting: the rows that were ticked in a list, as the query string names them, and what can be done to them."""

from __future__ import annotations

import typing as t

import msgspec

from ..errors import OperationRefused
from ..selected import MOST
from ..selected import Selected
from .here import may
from .query import LARGEST
from .query import choice
from .query import numbers
from .query import texts

if t.TYPE_CHECKING:
    from .routes import Permission

LABELS: dict[Permission, str] = {"retry": "Retry", "replay": "Replay", "cancel": "Cancel", "purge": "Delete"}
WHAT = {
    "retry": "deliveries that can be retried",
    "replay": "events that can be replayed",
    "cancel": "deliveries that can be cancelled",
    "purge": "deliveries that have ended",
}
NAMED = 10
"""How many of the selected a sentence names."""


def offered(*kinds: Permission) -> list[tuple[str, str]]:
    """Return what of *kinds* may be done to selected rows: its name, and what its button says."""
    return [(kind, LABELS[kind]) for kind in kinds if may(kind)]


def selection_here() -> Selected:
    """Return what the query string selects: runs as ``run=``, events as ``id=``, any number of each.

    :raises OperationRefused: for nothing, too much, or rows that this cannot be done to.
    """
    kind = t.cast("Permission", choice("kind", tuple(LABELS)) or "retry")
    runs, ids = numbers("run", 1, LARGEST), texts("id")
    if not runs and not ids:
        raise OperationRefused("Nothing is selected: go back, and tick the rows that you mean.")
    if len(runs) + len(ids) > MOST:
        raise OperationRefused(f"{len(runs) + len(ids):,} rows are selected: at most {MOST:,} can be at once.")
    if (runs and kind == "replay") or (ids and kind == "purge"):
        raise OperationRefused(f"{'Runs' if runs else 'Events'} are selected, and no {kind} is of them.")
    given = {"kind": f"{kind}-selected", "ids": [*dict.fromkeys(runs), *dict.fromkeys(ids)]}
    return t.cast("Selected", msgspec.convert(given, type=t.cast("t.Any", Selected)))


def told(chosen: dict[str, t.Any]) -> str:
    """Return a selection, as it is stored, in words."""
    ids = chosen["ids"]
    rest = f" and {len(ids) - NAMED:,} more" if len(ids) > NAMED else ""
    what = WHAT[chosen["kind"].partition("-")[0]]
    return f"{what} among the {len(ids):,} selected: {', '.join(map(str, ids[:NAMED]))}{rest}"
