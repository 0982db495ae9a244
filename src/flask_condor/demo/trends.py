"""The trends of the demo: what its workers would have noted of the queue, minute by minute."""

from __future__ import annotations

import math
import typing as t
from collections.abc import Mapping
from collections.abc import Sequence
from random import Random

from sqlalchemy.engine import Connection

from ..gauges import Gauge
from ..gauges import add_gauge
from ..rates import MINUTE
from ..waits import add_waits

MINUTES = 60


def write_trends(
    connection: Connection,
    random: Random,
    now: float,
    fired: Mapping[str, float],
    rows: Sequence[dict[str, t.Any]],
    workers: int,
) -> None:
    """Write how the queue stood in each minute of the hour before *now*, and how long what began in it had waited.

    :param fired: when each event was fired, by its id. :param rows: the deliveries.
    """
    queued = [
        (fired[row["event_id"]], math.inf if row["started_at"] is None else row["started_at"], row["queue"])
        for row in rows
        if row["run"] == "queued"
    ]
    for start in (now - MINUTE * number for number in range(MINUTES, 0, -1)):
        end = start + MINUTE
        pending = sum(since <= end < began for since, began, _ in queued)
        add_gauge(connection, end, Gauge(pending, random.expovariate(1) if pending else 0.0, workers))
        begun = [queue for _, began, queue in queued if start < began <= end]
        add_waits(connection, [(queue, random.expovariate(20)) for queue in begun], end)
