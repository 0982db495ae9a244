"""The incoming event: what one request, or one part of a batch, says has happened; the same for each form."""

from __future__ import annotations

import typing as t
from hashlib import sha256

import msgspec

from .rejection import Rejected

LONGEST = 255
"""Characters of a name or an id."""

Form = t.Literal["simple", "cloudevents-structured", "cloudevents-binary", "cloudevents-batch"]


class Incoming(msgspec.Struct, frozen=True, kw_only=True):
    """An event as it was sent, read and within all limits; nothing of it is stored yet."""

    name: str

    payload: t.Any
    """What JSON holds."""

    form: Form

    id: str | None
    """The event's id, made of ``key``; None when it was sent without, and one is to be made."""

    key: str | None
    """The id as it was sent."""

    delay: float | dict[str, float] | None = None
    """As that of ``fire``, which takes it; None when none was sent."""

    subject: str | None = None
    """What it is about, where a CloudEvent says it."""

    @property
    def digest(self) -> str:
        """The SHA-256 of name, payload and delay, whatever the order of their keys: what was sent again is the same."""
        content = (self.name, self.payload, self.delay)
        return sha256(msgspec.json.encode(content, order="sorted")).hexdigest()


def refuse_text(value: object, what: str, rule: str) -> str:
    """Return *value* when it may be a name or an id: one to 255 characters, all of them printable.

    :param what: names it for who sent it.
    :raises Rejected: by *rule*.
    """
    if not isinstance(value, str):
        raise Rejected(400, rule, f"{what} is no text: send 1 to {LONGEST} printable characters.")
    if not 1 <= len(value) <= LONGEST:
        raise Rejected(400, rule, f"{what} has {len(value)} characters: send 1 to {LONGEST}.")
    if not value.isprintable():
        raise Rejected(400, rule, f"{what} has a character that cannot be printed, such as a line break: leave it out.")
    return value
