"""The senders of the demo: whose tokens there are, how each event came over HTTP, and what was refused."""

from __future__ import annotations

import hashlib
import json
import typing as t
from random import Random

from sqlalchemy import insert
from sqlalchemy.engine import Connection

from ..bus import bus_of
from ..edge_models import rejections
from ..edge_models import tokens
from ..redaction import HIDDEN

HOUR = 3600
DAY = 24.0 * HOUR
SENDER = "mailing-service"
ADDRESSES = ("198.51.100.17", "198.51.100.18")
TOKENS: tuple[tuple[str, tuple[str, ...], float, float | None, float | None, float | None], ...] = (
    (SENDER, ("newsletter.*",), 40, 50, None, 0.001),
    ("warehouse", ("order.*", "shipment.*"), 200, None, None, 3.2),
    ("trial-partner", ("*",), 95, -5, None, 6.1),
    ("old-shop", ("order.*",), 300, None, 30, 31.0),
)
"""Of each its name and scopes; how many days ago it was made; in how many it expires; and how many days ago it was
revoked, and used last."""
REFUSED: tuple[tuple[int, str, int, str, str | None], ...] = (
    (401, "unidentified", 37, "Send a token as `Authorization: Bearer condor_...`, or sign the request.", None),
    (403, "not-allowed", 4, "Events of this name may not be sent from here.", "order.placed"),
    (409, "id-taken", 2, "An event of this id was accepted before, and it was another one.", "newsletter.opened"),
    (413, "too-large", 1, "The body is longer than 262144 bytes: send a reference to the data.", None),
    (422, "payload-invalid", 3, "payload.subscriber is missing.", "newsletter.opened"),
    (429, "too-often", 12, "More than 60 requests in a minute: send it again in 20 s.", None),
)
"""Of each its status, rule and count, what was told, and the event that was sent."""


def write_edge(connection: Connection, random: Random, now: float) -> None:
    """Write the tokens, and what was refused."""
    bus = bus_of(connection)
    connection.execute(insert(tokens), [token_row(random, now, one) | {"bus": bus} for one in TOKENS])
    connection.execute(insert(rejections), [refused_row(random, now, one) | {"bus": bus} for one in REFUSED])


def token_row(
    random: Random, now: float, one: tuple[str, tuple[str, ...], float, float | None, float | None, float | None]
) -> dict[str, t.Any]:
    name, scopes, made, expires, revoked, used = one
    return {
        "name": name,
        "digest": hashlib.sha256(random.randbytes(32)).hexdigest(),
        "scopes": json.dumps(scopes),
        "created_at": now - made * DAY,
        "expires_at": None if expires is None else now + expires * DAY,
        "revoked_at": None if revoked is None else now - revoked * DAY,
        "last_used_at": None if used is None else now - used * DAY,
    }


def received(random: Random, id: str) -> dict[str, t.Any]:
    """Return the subject and the receipt of an event that came over HTTP."""
    is_simple = random.random() < 0.6
    kind = "application/json" if is_simple else "application/cloudevents+json"
    headers = {"Authorization": HIDDEN, "Content-Type": kind, "User-Agent": "mailing-service/3.1"}
    return {
        "subject": None if is_simple else "campaigns/autumn",
        "digest": hashlib.sha256(random.randbytes(32)).hexdigest(),
        "form": "simple" if is_simple else "cloudevents-structured",
        "sender": SENDER,
        "address": random.choice(ADDRESSES),
        "key": id if is_simple else None,
        "headers": json.dumps(headers),
        "repeats": int(random.random() < 0.15),
    }


def refused_row(random: Random, now: float, one: tuple[int, str, int, str, str | None]) -> dict[str, t.Any]:
    status, rule, count, detail, event = one
    last = now - random.uniform(10, HOUR / 2)
    sample: dict[str, t.Any] = {"address": random.choice(ADDRESSES), "path": "/trigger", "type": "application/json"}
    sample |= {"size": random.randrange(80, 900), "detail": detail}
    if event is not None:
        sample |= {"sender": SENDER, "event": event, "body": '{"campaign":"autumn","token":"[redacted]"}'}
    start = int(last // HOUR * HOUR)
    return {
        "start": start,
        "status": status,
        "rule": rule,
        "count": count,
        "last_at": last,
        "sample": json.dumps(sample),
    }
