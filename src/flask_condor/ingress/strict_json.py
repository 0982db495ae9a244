"""Strict JSON: what a stranger may send as JSON, read within limits that hold before anything is made of it."""

from __future__ import annotations

import math
import re
import typing as t
from itertools import accumulate

import msgspec

from .rejection import Rejected

LARGEST_BODY = 256 * 1024
"""Bytes."""
DEEPEST = 32
"""How deep objects and arrays may be nested in one another."""
MOST_KEYS = 1_000
"""In all objects of a document together."""
LARGEST_INTEGER = 2**53
"""Beyond it, above or below 0, JavaScript and others read another integer than what was written."""

TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
"""A text, also one that does not end: so none is looked at twice, whatever the body."""
LONE = re.compile(rb"\\u[Dd][89ABab]..(?!\\u[Dd][C-Fc-f])|(?<!\\u[Dd][89ABab]..)\\u[Dd][C-Fc-f]")
BRACKETS = b"[]{}"
NO_BRACKETS = bytes(set(range(256)) - set(BRACKETS))
STEPS = bytes.maketrans(BRACKETS, b"\x01\xff\x01\xff")
"""One level deeper, or as a signed byte one less deep."""

# Of floats, msgspec itself takes 30 times as long over some.
_decode = msgspec.json.Decoder(float_hook=float).decode


def parse(data: bytes, *, most_keys: int = MOST_KEYS) -> t.Any:
    """Return what the JSON document *data* (RFC 8259, UTF-8) says.

    The work grows with the length of *data* alone. What is malformed, too deep or has too many keys is refused before
    anything is made of it.

    :param most_keys: in all its objects together.
    :raises Rejected: naming the rule that it breaks.
    """
    if len(data) > LARGEST_BODY:
        raise too_large()
    refuse_encoding(data)
    bare = TEXT.sub(b"", data)
    keys = bare.count(b":")
    if keys > most_keys:
        raise too_many_keys()
    if depth_of(bare) > DEEPEST:
        raise Rejected(400, "too-deep", f"The JSON is nested more than {DEEPEST} deep: send it flatter.")
    try:
        value = _decode(data)
    except msgspec.DecodeError as error:
        raise malformed(data, bare, error) from error
    if keys_in(value) != keys:
        raise Rejected(400, "duplicate-key", "The JSON has the same key twice in one object: name each once.")
    return value


def too_large() -> Rejected:
    """Return the refusal of a body that is longer than any that is read."""
    return Rejected(413, "too-large", f"The body is longer than {LARGEST_BODY} bytes: send a reference to the data.")


def too_many_keys() -> Rejected:
    """Return the refusal of a document, or an event of a batch, with more keys than are read."""
    return Rejected(400, "too-many-keys", f"The JSON has more than {MOST_KEYS} keys in all: send fewer at once.")


def refuse_encoding(data: bytes) -> None:
    if data.startswith(b"\xef\xbb\xbf"):
        raise Rejected(400, "byte-order-mark", "The body begins with a byte order mark: send UTF-8 without one.")
    try:
        data.decode()
    except UnicodeDecodeError as error:
        detail = f"The body is not UTF-8 (at byte {error.start}): send JSON in UTF-8, and nothing else."
        raise Rejected(400, "not-utf-8", detail) from error


def depth_of(bare: bytes) -> int:
    """Return how deep a document is nested; *bare* is it without its texts."""
    steps = memoryview(bare.translate(STEPS, NO_BRACKETS)).cast("b")
    return max(accumulate(steps), default=0)


def malformed(data: bytes, bare: bytes, error: msgspec.DecodeError) -> Rejected:
    """Return the refusal of what *error* was raised for, which does not tell all of them apart."""
    if isinstance(error, msgspec.ValidationError):
        return number_too_large()
    if b"NaN" in bare or b"Infinity" in bare:
        return Rejected(400, "not-a-number", "JSON has no NaN and no Infinity: send null or a text.")
    if "surrogate" in str(error) or ("truncated" in str(error) and LONE.search(data)):
        return Rejected(400, "lone-surrogate", "The JSON has half a character (a lone surrogate): send whole ones.")
    return Rejected(
        400, "malformed", f"The body is no JSON document: {str(error).removeprefix('JSON is malformed: ')}."
    )


def number_too_large() -> Rejected:
    detail = "The JSON has an integer beyond 2^53, or a number beyond what a float holds: send it as a text."
    return Rejected(400, "number-too-large", detail)


def keys_in(value: t.Any) -> int:
    """Return how many keys all objects in *value* have, having refused what in it no reader should be given."""
    todo = [value]
    keys = 0
    for one in todo:
        kind = type(one)
        if kind is list:
            todo += one
        elif kind is dict:
            keys += len(one)
            todo += one
            todo += one.values()
        elif kind is str:
            refuse_nul(one)
        elif kind is int or kind is float:
            refuse_number(one)
    return keys


def refuse_nul(text: str) -> None:
    if "\0" in text:
        raise Rejected(400, "nul", "The JSON has the character NUL in a text, which no database holds: leave it out.")


def refuse_number(number: float) -> None:
    if math.isinf(number) if type(number) is float else not -LARGEST_INTEGER <= number <= LARGEST_INTEGER:
        raise number_too_large()
