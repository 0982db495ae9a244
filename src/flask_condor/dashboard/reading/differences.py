"""The differences: which fields of the payload tell the runs that failed in one way from those that did not."""

from __future__ import annotations

import json
import typing as t
from collections import Counter
from collections.abc import Iterable
from collections.abc import Iterator

import msgspec
from sqlalchemy import Select
from sqlalchemy import func
from sqlalchemy import select
from sqlalchemy.engine import Connection

from ...bus import ours
from ...history import value_of
from ...models import attempts
from ...models import deliveries
from ...models import events

if t.TYPE_CHECKING:
    from ...redaction import Redaction

COMPARED = 50
"""How many payloads of each kind are compared: the latest."""
LOOKED_AT = 2500
"""How many of the latest runs are looked at for those that succeeded."""
LARGEST = 16_384
"""Characters of a payload; larger ones are left out."""
FIELDS = 200
DEEPEST = 6
LONGEST = 60
"""Characters of a value."""
LEAST = 0.3
"""By how much the shares must differ."""


class Difference(msgspec.Struct, frozen=True):
    """Something that payloads have, and how large a share of either kind has it."""

    path: str
    value: str
    """As JSON; or what is told of it."""
    failed: float
    succeeded: float


class Compared(msgspec.Struct, frozen=True):
    """What was found, the most distinctive first, and among how many payloads."""

    differences: list[Difference]
    failed: int
    succeeded: int


def compare(connection: Connection, failure_id: int, job: str, redaction: Redaction, most: int = 10) -> Compared:
    """Return what tells payloads of runs with that failure from those of the same job that succeeded."""
    ids = select(attempts.c.delivery_id).where(attempts.c.failure_id == failure_id)
    ids = ids.order_by(attempts.c.ended_at.desc(), attempts.c.id.desc()).limit(2 * COMPARED)
    failed = payloads(connection, select(*OF_RUN).where(ours(connection, deliveries), deliveries.c.id.in_(ids)))
    latest = select(*OF_RUN, deliveries.c.state, deliveries.c.job, deliveries.c.failure_id)
    latest = latest.where(ours(connection, deliveries), deliveries.c.finished_at.is_not(None))
    last = latest.order_by(deliveries.c.finished_at.desc()).limit(LOOKED_AT).subquery()
    good = select(last.c.id, last.c.event_id).where(
        last.c.state == "done", last.c.job == job, last.c.failure_id.is_(None)
    )
    succeeded = payloads(connection, good)
    return compared([redaction.of(one) for one in failed], [redaction.of(one) for one in succeeded], most)


OF_RUN = (deliveries.c.id, deliveries.c.event_id)


def payloads(connection: Connection, runs: Select[int, str]) -> list[t.Any]:
    """Return the payloads of the events of some runs, the latest first."""
    chosen = runs.subquery()
    latest = select(chosen).order_by(chosen.c.id.desc()).limit(2 * COMPARED).subquery()
    # not by a join, for which PostgreSQL unpacks the payloads of all events of a small log
    is_its_own = events.c.id == latest.c.event_id, func.length(events.c.payload) <= LARGEST
    payload = select(events.c.payload).where(*is_its_own).scalar_subquery()
    rows = connection.execute(select(latest.c.event_id, payload).order_by(latest.c.id.desc()))
    return [value_of(text) for text in list({id: text for id, text in rows if text is not None}.values())[:COMPARED]]


def compared(failed: list[t.Any], succeeded: list[t.Any], most: int) -> Compared:
    """Return what differs between two lists of values."""
    if not failed or not succeeded:
        return Compared([], len(failed), len(succeeded))
    bad, good = counted(failed), counted(succeeded)
    found = []
    for feature in bad.keys() | good.keys():
        shares = bad[feature] / len(failed), good[feature] / len(succeeded)
        if abs(shares[0] - shares[1]) >= LEAST:
            found.append(Difference(*feature, *shares))
    found.sort(key=lambda one: (-abs(one.failed - one.succeeded), one.succeeded, one.path, one.value))
    return Compared(found[:most], len(failed), len(succeeded))


def counted(values: Iterable[t.Any]) -> Counter[tuple[str, str]]:
    return Counter(feature for value in values for feature in set(features(value)))


def features(value: t.Any) -> Iterator[tuple[str, str]]:
    """Return what can be said of a payload: which fields it has, of which kind, with which value."""
    for number, (path, one) in enumerate(fields_in(value, "payload", DEEPEST)):
        if number == FIELDS:
            return
        yield path, KINDS.get(type(one), "is there")
        if isinstance(one, list):
            yield path, "is empty" if not one else "has items"
        elif not isinstance(one, dict):
            text = json.dumps(one, ensure_ascii=False)
            yield path, text if len(text) <= LONGEST else "is a long text"


KINDS = {str: "is a text", int: "is a number", float: "is a number", bool: "is true or false", dict: "is an object"}
KINDS |= {list: "is a list", type(None): "is null"}


def fields_in(value: t.Any, path: str, room: int) -> Iterator[tuple[str, t.Any]]:
    yield path, value
    if isinstance(value, dict) and room:
        for key, one in value.items():
            yield from fields_in(one, f"{path}.{key[:LONGEST]}", room - 1)
