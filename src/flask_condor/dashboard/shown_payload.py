"""The payload as it is shown: without its secrets unless they are revealed, and never more of it than a page bears."""

from __future__ import annotations

import difflib
import re
import typing as t

import msgspec

from ..errors import CondorError
from ..errors import shorten
from ..faults import PayloadInvalid
from ..history import Stored
from ..history import value_of
from ..redacting import hidden_in
from .here import manager
from .here import redaction
from .shapes import pretty

LARGEST = 64 * 1024
"""Characters of JSON that a page shows; of a larger payload it shows the beginning, and a link to the whole."""
MOST_PARTS = 3_000
"""How many values a tree shows."""


class ShownPayload(msgspec.Struct, frozen=True):
    """What a page shows of a payload."""

    value: t.Any
    pretty: str
    size: int
    """Characters, as it is stored."""
    has_hidden: bool
    is_large: bool
    has_tree: bool

    @classmethod
    def of(cls, stored: Stored, *, revealed: bool) -> ShownPayload:
        """Return it, of an event as it is stored."""
        whole = value_of(stored.payload)
        hidden = hidden_in(whole, redaction())
        value = whole if revealed else hidden
        text = pretty(value)
        is_large = max(len(stored.payload), len(text)) > LARGEST
        has_tree = not is_large and count_parts(value) <= MOST_PARTS
        return cls(value, text, len(stored.payload), hidden != whole or stored.is_redacted, is_large, has_tree)

    @property
    def beginning(self) -> str:
        """As much of it as a page shows."""
        return self.pretty[:LARGEST]


def count_parts(value: t.Any) -> int:
    """Return how many values there are in *value*, counted up to a little more than a tree shows."""
    count, waiting = 0, [value]
    while waiting and count <= MOST_PARTS:
        one = waiting.pop()
        count += 1
        waiting += one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
    return count


class Schema(msgspec.Struct, frozen=True):
    """Whether a payload is of the type that its name has."""

    kind: str | None
    """The name of the type; None when the name has none, or is not registered."""
    is_valid: bool | None
    """None when it could not be told."""
    faults: list[str] = []


def schema_of(stored: Stored) -> Schema:
    """Check a stored payload against the type that its name has now."""
    names = manager().registry.typed_names
    kind = names.get(stored.name)
    if kind is None:
        return Schema(None, None)
    called = getattr(kind.kind, "__qualname__", None) or repr(kind.kind)
    if stored.is_redacted or not stored.is_replayable:
        return Schema(called, None)
    try:
        names.from_json(stored.name, stored.payload)
    except PayloadInvalid as error:
        return Schema(called, False, [told(fault.path, str(fault)) for fault in error.faults])
    except CondorError as error:
        return Schema(called, False, [shorten(error)])
    return Schema(called, True)


def told(path: str, fault: str) -> str:
    """Return what is said of a fault: not its value, where that is hidden."""
    hiding = redaction()
    is_hidden = any(hiding.hides(key) for key in re.findall(r"[\w-]+", path))
    return f"{path} is not of its type (its value is hidden)" if is_hidden else fault


def diff_of(before: Stored, stored: Stored) -> list[tuple[str, str]] | None:
    """Return the lines of both payloads, as kind ("same", "gone" or "new") and text; None when they are too large."""
    sides = [ShownPayload.of(one, revealed=False) for one in (before, stored)]
    if any(side.is_large for side in sides):
        return None
    kinds = {"  ": "same", "- ": "gone", "+ ": "new"}
    lines = difflib.ndiff(sides[0].pretty.splitlines(), sides[1].pretty.splitlines(), charjunk=None)
    return [(kinds[line[:2]], line[2:]) for line in lines if line[:2] in kinds]
