"""The lanes: the queues and priorities that a worker can claim from, and what of them is paused."""

from __future__ import annotations

import typing as t
from collections.abc import Sequence

import msgspec
from sqlalchemy import text
from sqlalchemy.engine import Connection

from .bus import bus_of

Lane = tuple[str, int]
"""A queue and a priority."""
Place = tuple[float, int]
"""Where a delivery stands in its lane: when it is due, and its number."""

LANES = text("""
WITH RECURSIVE lanes (queue, priority) AS (
    SELECT * FROM (
        SELECT queue, priority FROM condor_deliveries WHERE state = 'pending' AND bus = :bus
            ORDER BY queue, priority LIMIT 1
    ) AS head
    UNION ALL
    SELECT
        (SELECT later.queue FROM condor_deliveries AS later
            WHERE later.state = 'pending' AND later.bus = :bus
            AND (later.queue, later.priority) > (lanes.queue, lanes.priority)
            ORDER BY later.queue, later.priority LIMIT 1),
        (SELECT later.priority FROM condor_deliveries AS later
            WHERE later.state = 'pending' AND later.bus = :bus
            AND (later.queue, later.priority) > (lanes.queue, lanes.priority)
            ORDER BY later.queue, later.priority LIMIT 1)
    FROM lanes WHERE lanes.queue IS NOT NULL
)
SELECT 'lane', queue, priority FROM lanes WHERE queue IS NOT NULL
UNION ALL SELECT kind, name, 0 FROM condor_pauses WHERE bus = :bus
""")
"""Skips through the index from lane to lane, however many deliveries wait in each; and tells what is paused."""


class Lanes(msgspec.Struct, frozen=True):
    """What can be claimed."""

    open: list[Lane] = []
    """Those that have pending deliveries, and are not of a paused queue."""
    paused: list[str] = []
    """The names of the events that are paused."""
    passed: dict[Lane, Place] = {}
    """Up to where all that is due was seen to be paused, so that it is not looked at each time."""


def lanes_of(connection: Connection) -> list[Lane]:
    """Return those that have pending deliveries, be they of a paused queue or not."""
    return [(name, priority) for kind, name, priority in lanes_and_pauses(connection) if kind == "lane"]


def find_lanes(connection: Connection) -> Lanes:
    """Return what can be claimed now."""
    rows = lanes_and_pauses(connection)
    queues = {name for kind, name, _ in rows if kind == "queue"}
    return Lanes(
        [(name, priority) for kind, name, priority in rows if kind == "lane" and name not in queues],
        [name for kind, name, _ in rows if kind == "event"],
    )


def lanes_and_pauses(connection: Connection) -> Sequence[t.Any]:
    return connection.execute(LANES, {"bus": bus_of(connection)}).all()
