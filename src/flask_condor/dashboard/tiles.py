"""The tiles of the overview: each number that matters, against the period before, with a line through the period."""

from __future__ import annotations

import typing as t
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence

import msgspec

from ..gauges import MOST
from ..gauges import Gauge
from ..rates import MINUTE
from .figures import Change
from .figures import Chart
from .figures import Figures
from .figures import change_of
from .figures import change_of_share
from .figures import share
from .here import now
from .links import link
from .query import Period
from .shapes import ago
from .shapes import counted
from .shapes import percent
from .shapes import span
from .shapes import took

if t.TYPE_CHECKING:
    from .reading.glance import Waiting

SLOW_QUEUE = 60.0
"""Seconds of waiting from which on the oldest delivery is marked."""
NO_HISTORY = "no history: no worker ran", None


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


def event_tile(fired: Sequence[int], before: int) -> Tile:
    """Return how many events were fired.

    :param fired: in each part of the period. :param before: in the whole period before.
    """
    total = sum(fired)
    return Tile(
        label="Events",
        value=up_to_most(total),
        change=change_of(total, before) if total <= MOST and before <= MOST else None,
        values=fired if total <= MOST else None,
        href=link("/events"),
    )


def rate_tiles(figures: Figures, before: Figures, chart: Chart, durations: Chart) -> list[Tile]:
    done, retried, dead = (one["values"] for one in chart.series)
    runs = [sum(counts) for counts in zip(done, retried, dead, strict=True)]
    shares = [ended_well(good, bad) for good, bad in zip(done, dead, strict=True)]
    bad = [all_runs - good for all_runs, good in zip(runs, done, strict=True)]
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


class Trend(msgspec.Struct, frozen=True):
    """One number of the gauges through a period; None for a minute or an hour in which no worker ran."""

    values: list[float | None]
    before: list[float | None]
    """Those of the period before."""
    here: float
    """What it is now; 0 where the period ended earlier."""

    @property
    def line(self) -> list[float | None] | None:
        """What is drawn; None where nothing was noted."""
        return None if highest(self.values) is None else self.values

    def change(self, shown: Callable[[t.Any], str], *, up_is_good: bool | None = None) -> Change:
        """Return the peak of the period, and how it has grown since the period before."""
        noted, was = highest(self.values), highest(self.before)
        if noted is None:
            return NO_HISTORY
        peak = max(noted, self.here)
        if not was:
            return f"peak {shown(peak)}" + ("" if was is None else f", before {shown(was)}"), None
        told, is_good = change_of(peak, was, up_is_good=up_is_good) or ("", None)
        return f"peak {shown(peak)}, {told}", is_good


def highest(values: Sequence[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def queue_tiles(queue: Waiting, noted: Mapping[int, Gauge], chosen: Period) -> list[Tile]:
    """Return how the queue stands.

    :param noted: the gauges of a period and of the one before, by when their minutes or hours began.
    """
    due, at = queue.oldest_due, now()
    late = 0.0 if due is None else at - due
    here = Gauge(queue.pending, late, queue.workers) if chosen.until > at - MINUTE else Gauge(0, 0.0, 0)
    depth, waited, workers = (trend_of(field, noted, chosen, here) for field in ("pending", "waited", "workers"))
    return [
        Tile(
            label="Queue depth",
            value=up_to_most(queue.pending),
            change=depth.change(up_to_most, up_is_good=False),
            hint=f"{up_to_most(queue.dead)} dead",
            values=depth.line,
            href=link("/queue"),
        ),
        Tile(
            label="Oldest waiting",
            value="–" if due is None else span(late),
            change=waited.change(span, up_is_good=False),
            hint="nothing is due" if due is None else "since it was due",
            values=waited.line,
            kind="warning" if late > SLOW_QUEUE else "",
        ),
        Tile(
            label="Workers",
            value=counted(queue.workers),
            change=workers.change(counted),
            hint="none has been seen" if queue.seen_at is None else f"last seen {ago(queue.seen_at)}",
            values=workers.line,
            kind="bad" if not queue.workers and due is not None else "",
            href=link("/queue"),
        ),
    ]


def trend_of(field: str, noted: Mapping[int, Gauge], chosen: Period, here: Gauge) -> Trend:
    numbers = {start: getattr(gauge, field) for start, gauge in noted.items()}
    values, before = ([numbers.get(start) for start in period.starts] for period in (chosen, chosen.before))
    return Trend(values, before, getattr(here, field))


def up_to_most(count: int) -> str:
    return counted(min(count, MOST), count > MOST)
