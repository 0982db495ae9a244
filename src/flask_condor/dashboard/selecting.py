"""The selecting: the rows that were ticked in a list, as its form names them, and what can be done to them."""

from __future__ import annotations

import typing as t

import msgspec
from flask import request

from ..errors import OperationRefused
from ..errors import shorten_repr
from ..selected import MOST
from ..selected import Selected
from .here import may
from .query import LARGEST
from .query import QueryWrong
from .query import checked
from .query import whole

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
    """Return what the form selects: runs as ``run``, events as ``id``, any number of each.

    A form, not a query string: the ids of one page can be longer than any server reads of a URL.

    :raises OperationRefused: for nothing, too much, or rows that this cannot be done to. :raises QueryWrong: for what
        is none of them.
    """
    kind = kind_here()
    runs = [whole("run", given, 1, LARGEST) for given in sent("run", most=40)]
    ids = sent("id", most=255)
    if not runs and not ids:
        raise OperationRefused("Nothing is selected: go back, and tick the rows that you mean.")
    if len(runs) + len(ids) > MOST:
        raise OperationRefused(f"{len(runs) + len(ids):,} rows are selected: at most {MOST:,} can be at once.")
    if (runs and kind == "replay") or (ids and kind == "purge"):
        raise OperationRefused(f"{'Runs' if runs else 'Events'} are selected, and no {kind} is of them.")
    given = {"kind": f"{kind}-selected", "ids": [*dict.fromkeys(runs), *dict.fromkeys(ids)]}
    return t.cast("Selected", msgspec.convert(given, type=t.cast("t.Any", Selected)))


def kind_here() -> str:
    kind = request.form.get("kind", "")
    if kind not in LABELS:
        raise QueryWrong(f"kind={shorten_repr(kind)} is none of: {', '.join(LABELS)}.")
    return kind


def sent(key: str, most: int) -> list[str]:
    return [checked(key, given, most) for given in request.form.getlist(key) if given]


def told(chosen: dict[str, t.Any]) -> str:
    """Return a selection, as it is stored, in words."""
    ids = chosen["ids"]
    rest = f" and {len(ids) - NAMED:,} more" if len(ids) > NAMED else ""
    what = WHAT[chosen["kind"].partition("-")[0]]
    return f"{what} among the {len(ids):,} selected: {', '.join(map(str, ids[:NAMED]))}{rest}"
