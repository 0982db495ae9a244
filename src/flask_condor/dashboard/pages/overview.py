"""The screen Overview: whether all is well, by numbers and charts."""

from __future__ import annotations

import typing as t

from ...gauges import gauges_of
from ...history import reading
from ..figures import Figures
from ..figures import pace
from ..figures import throughput
from ..frame import shown
from ..here import log
from ..here import manager
from ..here import now
from ..here import redaction
from ..links import link
from ..query import period
from ..reading.glance import Waiting
from ..reading.glance import count_fired
from ..reading.glance import count_rejected
from ..reading.glance import fired_in
from ..reading.glance import newest_failures
from ..reading.glance import waiting
from ..routes import Routes
from ..shapes import counted
from ..tiles import event_tile
from ..tiles import queue_tiles
from ..tiles import rate_tiles
from ..tiles import up_to_most
from ..traces import summary_of

if t.TYPE_CHECKING:
    from flask import Response

routes = Routes()
LISTED = 6
PARTS = 40
"""Into how many the period is cut for the line of its events."""


@routes.page("/")
def overview() -> Response:
    """Show it."""
    chosen, at = period(), now()
    with reading(log()) as connection:
        figures, before = Figures.of(connection, chosen, at), Figures.of(connection, chosen.before, at)
        fired = fired_in(connection, chosen.since, chosen.until, PARTS)
        fired_before = count_fired(connection, chosen.before.since, chosen.since)
        queue = waiting(connection)
        failures = newest_failures(connection, LISTED)
        rejected = count_rejected(connection, chosen.since - 3600)
        noted = gauges_of(connection, range(chosen.before.starts.start, chosen.starts.stop, chosen.width))
    chart, durations, hidden = throughput(figures), pace(figures), redaction()
    tiles = [event_tile(fired, fired_before), *rate_tiles(figures, before, chart, durations)]
    return shown(
        "condor/overview.html",
        title="Overview",
        tiles=tiles + queue_tiles(queue, noted, chosen),
        chart=chart,
        durations=durations,
        failing=figures.most_failing(),
        slowest=figures.slowest(),
        failures=[(one, summary_of(hidden, one.error)) for one in failures],
        health=health(queue, rejected),
        is_empty=not any(fired) and not figures.runs(),
        width=chosen.unit,
    )


def health(queue: Waiting, rejected: int) -> list[tuple[str, str, str]]:
    """Return what needs somebody: a sentence, what to do, and a screen to look at."""
    found, config = [], manager().config
    if not queue.workers and queue.oldest_due is not None:
        told = f"{up_to_most(queue.pending)} waiting, no worker seen."
        found.append((told, "Run `flask events worker`.", link("/queue")))
    if config.retention_done is None or config.retention_dead is None:
        what = "CONDOR_RETENTION_DONE" if config.retention_done is None else "CONDOR_RETENTION_DEAD"
        found.append(("Retention is off: the event log grows for ever.", f"Set {what} to days.", link("/system")))
    if config.log == "off":
        found.append(("CONDOR_LOG is off: only queued jobs are recorded.", "Set it to 'all'.", link("/system")))
    if rejected:
        told = f"{counted(rejected)} posted {'event was' if rejected == 1 else 'events were'} refused lately."
        found.append((told, "See why.", link("/ingress", tab="refused")))
    return found
