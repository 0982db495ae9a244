"""The screen Overview: whether all is well, by numbers and charts."""

from __future__ import annotations

import typing as t
from collections.abc import Sequence

import msgspec

from ...history import reading
from ..figures import Change
from ..figures import Chart
from ..figures import Figures
from ..figures import change_of
from ..figures import change_of_share
from ..figures import pace
from ..figures import share
from ..figures import throughput
from ..frame import shown
from ..here import log
from ..here import manager
from ..here import now
from ..here import redaction
from ..links import link
from ..query import Period
from ..query import period
from ..reading.glance import MOST
from ..reading.glance import Waiting
from ..reading.glance import count_fired
from ..reading.glance import count_rejected
from ..reading.glance import fired_at
from ..reading.glance import newest_failures
from ..reading.glance import waiting
from ..routes import Routes
from ..shapes import ago
from ..shapes import counted
from ..shapes import percent
from ..shapes import span
from ..shapes import took
from ..traces import summary_of

if t.TYPE_CHECKING:
    from flask import Response

routes = Routes()
LISTED = 6
SLOW_QUEUE = 60.0
"""Seconds of waiting from which on the oldest delivery is marked."""


@routes.page("/")
def overview() -> Response:
    """Show it."""
    chosen, at = period(), now()
    with reading(log()) as connection:
        figures, before = Figures.of(connection, chosen, at), Figures.of(connection, chosen.before, at)
        fired = fired_at(connection, chosen.since, chosen.until)
        fired_before = count_fired(connection, chosen.before.since, chosen.since)
        queue = waiting(connection)
        failures = newest_failures(connection, LISTED)
        rejected = count_rejected(connection, chosen.since - 3600)
    chart, durations, hidden = throughput(figures), pace(figures), redaction()
    tiles = [event_tile(chosen, fired, fired_before), *rate_tiles(figures, before, chart, durations)]
    return shown(
        "condor/overview.html",
        title="Overview",
        tiles=tiles + queue_tiles(queue),
        chart=chart,
        durations=durations,
        failing=figures.most_failing(),
        slowest=figures.slowest(),
        failures=[(one, summary_of(hidden, one.error)) for one in failures],
        health=health(queue, rejected),
        is_empty=not fired and not figures.runs(),
        width="minute" if chosen.width == 60 else "hour",
    )


class Tile(msgspec.Struct, frozen=True, kw_only=True):
    """A number that matters."""

    label: str
    value: str
    change: Change | None = None
    hint: str | None = None
    values: Sequence[float | None] | None = None
    """Over the period, for a line."""
    href: str | None = None
    kind: t.Literal["", "warning", "bad"] = ""


def event_tile(chosen: Period, fired: Sequence[float], before: int) -> Tile:
    is_whole = len(fired) <= MOST and before <= MOST
    return Tile(
        label="Events",
        value=up_to_most(len(fired)),
        change=change_of(len(fired), before) if is_whole else None,
        values=spread(fired, chosen) if len(fired) <= MOST else None,
        href=link("/events"),
    )


def spread(moments: Sequence[float], chosen: Period, parts: int = 40) -> list[int]:
    """Return how many of *moments* are in each of so many parts of a period."""
    counts, length = [0] * parts, chosen.until - chosen.since
    for at in moments:
        counts[min(parts - 1, int((at - chosen.since) / length * parts))] += 1
    return counts


def rate_tiles(figures: Figures, before: Figures, chart: Chart, durations: Chart) -> list[Tile]:
    ok, retried, failed = (one["values"] for one in chart.series)
    runs = [sum(counts) for counts in zip(ok, retried, failed, strict=True)]
    shares = [ended_well(good, dead) for good, dead in zip(ok, failed, strict=True)]
    bad = [all_runs - good for all_runs, good in zip(runs, ok, strict=True)]
    return [
        Tile(
            label="Job runs",
            value=counted(figures.runs()),
            change=change_of(figures.runs(), before.runs()),
            values=runs if figures.runs() else None,
            href=link("/runs"),
        ),
        Tile(
            label="Success rate",
            value=percent(figures.success),
            change=change_of_share(figures.success, before.success, up_is_good=True),
            hint="of jobs that ended",
            values=shares if figures.runs() else None,
        ),
        Tile(
            label="Failure rate",
            value=percent(figures.failure),
            change=change_of_share(figures.failure, before.failure, up_is_good=False),
            hint="of all attempts",
            values=bad if figures.runs() else None,
            href=link("/failures"),
        ),
        Tile(
            label="p95 duration",
            value=took(figures.p95),
            change=change_of(figures.p95, before.p95, up_is_good=False),
            values=durations.series[1]["values"],
        ),
    ]


def ended_well(good: int, dead: int) -> float:
    """Return the share of the jobs that ended well; all of them where none ended, so that its line does not drop."""
    found = share(good, good + dead)
    return 1.0 if found is None else found


def queue_tiles(queue: Waiting) -> list[Tile]:
    return [
        Tile(
            label="Queue depth",
            value=up_to_most(queue.pending),
            hint=f"{up_to_most(queue.dead)} dead",
            href=link("/queue"),
        ),
        oldest_tile(queue.oldest_due),
        Tile(
            label="Workers",
            value=counted(queue.workers),
            hint="none has been seen" if queue.seen_at is None else f"last seen {ago(queue.seen_at)}",
            kind="bad" if not queue.workers and queue.oldest_due is not None else "",
            href=link("/queue"),
        ),
    ]


def oldest_tile(due_at: float | None) -> Tile:
    if due_at is None:
        return Tile(label="Oldest waiting", value="–", hint="nothing is due")
    late = now() - due_at
    kind: t.Literal["warning", ""] = "warning" if late > SLOW_QUEUE else ""
    return Tile(label="Oldest waiting", value=span(late), hint="since it was due", kind=kind)


def up_to_most(count: int) -> str:
    return counted(min(count, MOST), count > MOST)


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
        found.append((told, "See why.", link("/ingress")))
    return found
