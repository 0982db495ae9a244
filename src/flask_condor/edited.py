"""The edited payload: what a person typed in place of a stored one, read strictly, its hidden values put back."""

from __future__ import annotations

import json
import typing as t
from collections.abc import Iterable

from .errors import CondorError
from .payload import to_json
from .redaction import HIDDEN
from .redaction import Redaction


class PayloadWrong(CondorError, ValueError):
    """A payload that was typed is no JSON, or would not be what was meant."""


def checked_json(text: str) -> str:
    """Return *text* as it is stored, once it was read strictly.

    :raises PayloadWrong: for what is no JSON (RFC 8259), or names a key twice.
    :raises PayloadNotSerializable: for a value that the log cannot give back.
    """
    return to_json(parsed(text))


def parsed(text: str) -> t.Any:
    """Return what a JSON text holds, read as strictly."""
    try:
        return json.loads(text, object_pairs_hook=one_of_each, parse_constant=refuse_constant)
    except json.JSONDecodeError as error:
        at = f"line {error.lineno}, column {error.colno}"
        told = f"The payload is no JSON: {error.msg}, at {at}. Names and texts stand in double quotes."
        raise PayloadWrong(told) from error
    except RecursionError as error:
        raise PayloadWrong("The payload is nested too deep to be kept. Send it flatter.") from error
    except PayloadWrong:
        raise
    except ValueError as error:  # of int(), which reads no more than some thousand digits
        raise PayloadWrong("The payload has a number that is too long to be kept. Send it as a text.") from error


def one_of_each(pairs: Iterable[tuple[str, t.Any]]) -> dict[str, t.Any]:
    found: dict[str, t.Any] = {}
    for key, value in pairs:
        if key in found:
            raise PayloadWrong(f"The payload has the key {key[:50]!r} twice in one object. Leave one of them out.")
        found[key] = value
    return found


def refuse_constant(word: str) -> t.NoReturn:
    raise PayloadWrong(f"The payload has {word}, which JSON has no word for. Write a number, or null.")


def restored(edited: t.Any, stored: t.Any, redaction: Redaction, path: str = "payload") -> t.Any:
    """Return *edited* with the values that were shown as hidden as they are *stored*.

    :raises PayloadWrong: for one that stands for nothing that is stored.
    """
    if isinstance(edited, dict):
        return {key: restored_at(key, value, stored, redaction, f"{path}.{key}") for key, value in edited.items()}
    if isinstance(edited, list):
        known = stored if isinstance(stored, list) else []
        return [
            restored(value, known[at] if at < len(known) else None, redaction, f"{path}[{at}]")
            for at, value in enumerate(edited)
        ]
    return edited


def restored_at(key: str, value: t.Any, stored: t.Any, redaction: Redaction, path: str) -> t.Any:
    known = stored if isinstance(stored, dict) else {}
    if value != HIDDEN or not redaction.hides(key):
        return restored(value, known.get(key), redaction, path)
    if key not in known or known[key] == HIDDEN:
        raise PayloadWrong(f"{path[:200]} is {HIDDEN!r}, and no value of it is stored here. Type one.")
    return known[key]
