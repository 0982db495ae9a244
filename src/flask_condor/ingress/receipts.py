"""The receipts: what is kept of an event that came over HTTP, by which it is known again when it comes once more."""

from __future__ import annotations

import re
import time
import typing as t
from collections.abc import Callable
from collections.abc import Mapping
from functools import lru_cache

import msgspec
from sqlalchemy import text
from sqlalchemy.engine import Connection

from .. import travel
from ..bus import bus_of
from ..database import executor_of
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

COLUMNS = ("event_id", "digest", "form", "sender", "address", "key", "headers", "bus", "at", "repeats")
ADD = f"""
    INSERT INTO condor_receipts ({", ".join(COLUMNS)}) VALUES (%s, 0)
    ON CONFLICT (event_id) DO UPDATE SET repeats = condor_receipts.repeats + 1
    RETURNING digest, bus, repeats
    """
"""Asks no question first: of two that come at once, on whatever workers, the second waits here for the first."""
ADD_TO_SQLITE = ADD % ", ".join("?" * len(COLUMNS[:-1]))
"""Plain SQL, with the values in the order of the columns: as a statement of SQLAlchemy's it takes ten times as long."""
ADD_TO_SERVER = text(ADD % f":{', :'.join(COLUMNS[:-2])}, extract(epoch FROM clock_timestamp()) + :ahead")


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


def take(connection: Connection, incoming: Incoming, event_id: str, arrival: Arrival) -> bool:
    """Write the receipt of an event, in the transaction of *connection*; return False when there is one already.

    :raises Rejected: when that one is of something else.
    """
    row = {
        "event_id": event_id,
        "digest": incoming.digest,
        "form": incoming.form,
        "sender": arrival.sender,
        "address": arrival.address,
        "key": incoming.key,
        "headers": arrival.headers,
        "bus": bus_of(connection),
    }
    digest, bus, repeats = add(connection, row)
    if bus != row["bus"] or digest != row["digest"]:
        raise id_taken()
    return repeats == 0


def add(connection: Connection, row: Mapping[str, str | None]) -> tuple[str, str, int]:
    """Return what then is in the log: the digest, the bus, and how often it came again."""
    if connection.dialect.name != "sqlite":
        digest, bus, repeats = connection.execute(ADD_TO_SERVER, {**row, "ahead": travel.ahead}).one()
    else:
        values = (*row.values(), time.time() + travel.ahead)
        digest, bus, repeats = executor_of(connection)(ADD_TO_SQLITE, values).fetchone()
    return digest, bus, repeats


def id_taken() -> Rejected:
    """Return the refusal of an event whose id another one has."""
    return Rejected(
        409,
        "id-taken",
        "An event of this id was accepted before, and it was another one: its name, payload or delay differed, or it"
        " was not sent over HTTP. Nothing was stored. Send what was sent before, or use a new id.",
    )
