"""The receipts: what is kept of an event that came over HTTP, by which it is known again when it comes once more."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Callable
from functools import lru_cache

import msgspec
from sqlalchemy import text
from sqlalchemy.engine import Connection

from ..bus import bus_of
from ..redaction import HIDDEN
from ..redaction import KEYS
from ..redaction import Redaction
from ..storable import storable
from .rejection import Rejected

if t.TYPE_CHECKING:
    from flask import Request

    from ..config import Config
    from .incoming import Incoming

Hides = Callable[[str], bool]

MOST_HEADERS = 50
LONGEST = 200
"""Characters of a header that are kept."""
TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
ALWAYS_HIDDEN = (*KEYS, "auth", "key")
"""Words of headers that are, whatever is configured for payloads."""
SHOWN = ("idempotency-key",)
QUERY = re.compile(r"(?<=\S\?)\S+")
"""That of a URL, as in a Referer: some have a token in it."""

KNOW_AGAIN = """
    UPDATE condor_events SET repeats = repeats + 1
    WHERE id = :id AND bus = :bus AND digest = :digest
    RETURNING payload, is_orphan, is_redacted
    """


class Arrival(msgspec.Struct, frozen=True):
    """How a request came in, as it is kept."""

    sender: str
    address: str
    headers: str
    """JSON, redacted."""
    trace: str | None
    """The W3C traceparent that it was sent with."""

    @classmethod
    def of(cls, request: Request, sender: str, hides: Hides) -> Arrival:
        """Return that of *request*, which *sender* has sent.

        :param hides: tells of a header's name whether its value is a secret.
        """
        traceparent = request.headers.get("traceparent", "")
        return cls(
            sender=sender,
            address=address_of(request),
            headers=headers_of(request, hides),
            trace=traceparent if TRACEPARENT.fullmatch(traceparent) else None,
        )


def hiding_of_headers(config: Config) -> Hides:
    """Return what tells of a header's name whether its value is a secret; it remembers, as most come each time."""
    return lru_cache(maxsize=200)(Redaction((*ALWAYS_HIDDEN, *config.redact_keys)).hides)


def address_of(request: Request) -> str:
    return storable(request.remote_addr or "")[:LONGEST]


def headers_of(request: Request, hides: Hides) -> str:
    shown = {}
    for name, value in list(request.headers.items())[:MOST_HEADERS]:
        is_hidden = name.lower() not in SHOWN and hides(name)
        shown[storable(name)[:LONGEST]] = HIDDEN if is_hidden else QUERY.sub(HIDDEN, storable(value)[:LONGEST])
    return msgspec.json.encode(shown).decode()


def receipt_of(incoming: Incoming, arrival: Arrival) -> dict[str, t.Any]:
    """Return the columns of its event that tell how it came, in their order."""
    return {
        "digest": incoming.digest,
        "form": incoming.form,
        "sender": arrival.sender,
        "address": arrival.address,
        "key": incoming.key,
        "headers": arrival.headers,
        "repeats": 0,
    }


def know_again(connection: Connection, event_id: str, digest: str) -> tuple[str, bool, bool]:
    """Count that an event came once more; return its payload as it is stored, whether it had no job, and is redacted.

    :raises Rejected: when the event of that id is another one.
    """
    known = {"id": event_id, "bus": bus_of(connection), "digest": digest}
    stored = connection.execute(text(KNOW_AGAIN), known).one_or_none()
    if stored is None:
        raise id_taken()
    return tuple(stored)


def id_taken() -> Rejected:
    """Return the refusal of an event whose id another one has."""
    return Rejected(
        409,
        "id-taken",
        "An event of this id was accepted before, and it was another one: its name, payload or delay differed, or it"
        " was not sent over HTTP. Nothing was stored. Send what was sent before, or use a new id.",
    )
