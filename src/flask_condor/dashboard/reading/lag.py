"""The lag of the roll-ups: how far the rates are behind the runs that ended."""

from __future__ import annotations

from sqlalchemy import func
from sqlalchemy import select
from sqlalchemy.engine import Connection

from ...bus import ours
from ...models import deliveries
from ...models import rates
from ...rates import HOUR
from ...rates import MINUTE

LOOKED_AT = 1000
"""How many of the deliveries that ended last are looked at: those that were cancelled are not counted."""


def rates_lag(connection: Connection) -> float | None:
    """Return for how many seconds runs have ended that are in no minute or hour of the rates; None when none has ended.

    It is 0 as long as each run is counted in the transaction that writes down how it ended.
    """
    ended = select(deliveries.c.finished_at, deliveries.c.state)
    ended = ended.where(ours(connection, deliveries), deliveries.c.finished_at.is_not(None))
    some = ended.order_by(deliveries.c.finished_at.desc()).limit(LOOKED_AT).subquery()
    newest: float | None = connection.scalar(
        select(func.max(some.c.finished_at)).where(some.c.state.in_(("done", "dead")))
    )
    if newest is None:
        return None
    until = max(counted_until(connection, width) for width in (MINUTE, HOUR))
    return max(0.0, newest - until)


def counted_until(connection: Connection, width: int) -> int:
    """Return when the last minute or hour ends of which anything is counted."""
    start = connection.scalar(select(func.max(rates.c.start)).where(ours(connection, rates), rates.c.width == width))
    return 0 if start is None else start + width
