"""The payload as JSON: what a queued job is given must be what was fired, so only what survives JSON is let through."""

from __future__ import annotations

import math
import typing as t

import msgspec

from .errors import PayloadNotSerializable

DEEPEST = 100
"""How deep dicts and lists may be nested in one another."""
LARGEST = 2**63 - 1

_encode = msgspec.json.Encoder().encode


def to_json(payload: object) -> str:
    """Return *payload* as JSON text (RFC 8259) from which :func:`from_json` gives an equal payload.

    :raises PayloadNotSerializable: naming the path of the first value that JSON would change or cannot hold.
    """
    refuse_what_changes(payload, "payload", 0)
    return _encode(payload).decode()


def from_json(text: str) -> t.Any:
    """Return the payload that :func:`to_json` gave *text* for."""
    return msgspec.json.decode(text)


def refuse_what_changes(value: t.Any, path: str, depth: int) -> None:
    """Go through *value*, and raise for what JSON would not give back equal and of the same type."""
    kind = type(value)
    if kind is str:
        refuse_surrogates(value, path)
    elif kind is int:
        if not -LARGEST - 1 <= value <= LARGEST:
            raise PayloadNotSerializable(path, value, "an integer beyond 64 bits: pass it as a str")
    elif kind is float:
        if not math.isfinite(value):
            raise PayloadNotSerializable(path, value, "which JSON has no word for: pass None or a str")
    elif kind is dict or kind is list:
        refuse_in(value, path, depth)
    elif value is not None and kind is not bool:
        raise PayloadNotSerializable(path, value, f"a {kind.__name__}: pass {advice(value)}")


def refuse_in(value: dict[t.Any, t.Any] | list[t.Any], path: str, depth: int) -> None:
    if depth == DEEPEST:
        raise PayloadNotSerializable(path, type(value), f"nested more than {DEEPEST} deep, or contains itself")
    if isinstance(value, list):
        for index, item in enumerate(value):
            refuse_what_changes(item, f"{path}[{index}]", depth + 1)
        return
    for key, item in value.items():
        if type(key) is not str:
            raise PayloadNotSerializable(path, key, f"of type {type(key).__name__}: JSON keys are texts", is_key=True)
        refuse_surrogates(key, path)
        refuse_what_changes(item, f"{path}[{key!r}]", depth + 1)


def refuse_surrogates(text: str, path: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise PayloadNotSerializable(path, text, "a text with half a character (a lone surrogate)") from error


def advice(value: object) -> str:
    if isinstance(value, tuple | set | frozenset):
        return "a list of the same"
    if hasattr(value, "isoformat"):
        return "its isoformat()"
    if isinstance(value, bytes | bytearray):
        return "a text, or where the bytes are stored"
    if isinstance(value, str | int | float | dict):
        return f"a plain {next(kind.__name__ for kind in (str, int, float, dict) if isinstance(value, kind))}"
    return "its id, or a dict of what the job needs"
