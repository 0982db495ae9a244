"""The figures of a period: how runs ended and how long they took, beside the period before, and as charts."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from functools import cached_property
from functools import lru_cache
from itertools import groupby

import msgspec

from ..rates import HOUR
from ..rates import percentiles
from .reading.spans import Span
from .reading.spans import spans
from .shapes import counted
from .shapes import percent
from .shapes import took

if t.TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from .query import Period

LISTED = 6
Day = tuple[Span, ...]
K = t.TypeVar("K")


class Ranked(msgspec.Struct, frozen=True):
    """A line of a ranking: an event by its failures, or a job by its duration."""

    name: str
    runs: int
    failed: int
    p50: float | None = None
    p95: float | None = None

    @property
    def share(self) -> float:
        return self.failed / self.runs if self.runs else 0.0


class Figures(msgspec.Struct, frozen=True, dict=True):
    """Those of one period."""

    spans: dict[int, Span]
    """Its minutes or hours, by when they began."""

    @classmethod
    def of(cls, connection: Connection, period: Period, now: float) -> Figures:
        """Read them; *now* in seconds since 1970 UTC."""
        return cls(spans(connection, period.starts, now))

    def runs(self, *outcomes: str) -> int:
        """Return how many attempts ended in one of *outcomes*; all without any."""
        return sum(runs for outcome, runs in self._outcomes.items() if not outcomes or outcome in outcomes)

    @cached_property
    def _outcomes(self) -> dict[str, int]:
        return added(span.outcomes for span in self.spans.values())

    @property
    def success(self) -> float | None:
        """The share of the jobs that ended well, of those that ended."""
        return share(self.runs("done"), self.runs("done", "dead"))

    @property
    def failure(self) -> float | None:
        """The share of attempts that failed, be they tried again or not."""
        return share(self.runs("failed", "dead", "lost"), self.runs())

    @cached_property
    def p95(self) -> float | None:
        """The duration in seconds below which 95 % of the runs were."""
        merged = added(span.buckets for span in self.spans.values())
        return percentiles(merged, (0.95,))[0] if merged else None

    @property
    def _days(self) -> list[Day]:
        """The spans in parts that are the same at the next look, save the last."""
        parts = groupby(self.spans.items(), lambda item: item[0] // (24 * HOUR))
        return [tuple(span for _, span in part) for _, part in parts]

    def most_failing(self) -> list[Ranked]:
        """Return the events with the most failed attempts."""
        runs, failed = dict[str, int](), dict[str, int]()
        for (name, outcome), count in added(map(names_in, self._days)).items():
            runs[name] = runs.get(name, 0) + count
            if outcome != "done":
                failed[name] = failed.get(name, 0) + count
        found = [Ranked(name, runs[name], count) for name, count in failed.items() if count]
        return sorted(found, key=lambda one: (-one.failed, one.name))[:LISTED]

    def slowest(self) -> list[Ranked]:
        """Return the jobs with the highest 95th percentile."""
        by_job: dict[str, dict[int, int]] = {}
        for (job, bucket), runs in added(map(jobs_in, self._days)).items():
            by_job.setdefault(job, {})[bucket] = runs
        found = []
        for job, buckets in by_job.items():
            p50, p95 = percentiles(buckets, (0.5, 0.95))
            found.append(Ranked(job, sum(buckets.values()), 0, p50, p95))
        return sorted(found, key=lambda one: (-(one.p95 or 0), one.name))[:LISTED]


@lru_cache(maxsize=32)
def names_in(spans: Day) -> dict[tuple[str, str], int]:
    return added(span.names for span in spans)


@lru_cache(maxsize=32)
def jobs_in(spans: Day) -> dict[tuple[str, int], int]:
    return added(span.jobs for span in spans)


class Chart(msgspec.Struct, frozen=True):
    """What is drawn over time: a line, or a layer, for each series."""

    x: list[int]
    series: list[dict[str, t.Any]]
    stacked: bool
    unit: str
    summary: str

    @property
    def data(self) -> dict[str, t.Any]:
        """What the script that draws it reads."""
        return {"x": self.x, "series": self.series, "stacked": self.stacked, "unit": self.unit}

    @property
    def bars(self) -> list[tuple[str, str]]:
        """The bars of a drawing 100 high and as wide as there are moments: the colour's name and the path of each."""
        layers = dict.fromkeys((one["colour"].removeprefix("--series-") for one in reversed(self.series)), "")
        moments = list(zip(*([value or 0 for value in one["values"]] for one in self.series), strict=True))
        scale = 100 / (max((self._height(values) for values in moments), default=0) or 1)
        for x, values in enumerate(moments):
            for name, y, height in self._bars_at(values, scale):
                layers[name] += f"M{x} {y:.1f}h.8v{height:.1f}h-.8z"
        return [(name, path) for name, path in layers.items() if path]

    def _height(self, values: Sequence[float]) -> float:
        return sum(values) if self.stacked else max(values)

    def _bars_at(self, values: Sequence[float], scale: float) -> Iterator[tuple[str, float, float]]:
        base = 0.0
        for one, value in zip(self.series, values, strict=True):
            height = value * scale
            if height >= 0.05:
                yield one["colour"].removeprefix("--series-"), 100 - base - height, height
            base += height if self.stacked else 0

    @property
    def rows(self) -> list[tuple[int, list[t.Any]]]:
        """The same as rows of a table, the last moment first, without those in which nothing was."""
        found = [(at, [one["values"][number] for one in self.series]) for number, at in enumerate(self.x)]
        return [row for row in reversed(found) if any(row[1])]


LAYERS = {
    "done": ("--series-ok", ("done",)),
    "retried": ("--series-retried", ("failed", "lost")),
    "dead": ("--series-failed", ("dead",)),
}
"""How runs ended, as a chart shows it: each with its colour and the outcomes that are of it."""


def throughput(figures: Figures) -> Chart:
    """Return how many runs ended how, over time."""
    values = {
        name: [sum(span.outcomes.get(one, 0) for one in outcomes) for span in figures.spans.values()]
        for name, (_, outcomes) in LAYERS.items()
    }
    sums = {name: sum(counts) for name, counts in values.items()}
    told = f"{counted(sum(sums.values()))} runs: {counted(sums['done'])} done, {counted(sums['retried'])} tried again"
    summary = f"{told}, {counted(sums['dead'])} dead."
    series = [{"label": name, "colour": LAYERS[name][0], "values": counts} for name, counts in values.items()]
    return Chart(list(figures.spans), series, True, "runs", summary)


def pace(figures: Figures) -> Chart:
    """Return how long runs took, over time."""
    buckets = {start: span.buckets for start, span in figures.spans.items()}
    told = "Half of the runs took up to {}, 95 % up to {}."
    return percentiles_of(buckets, told, "No run ended in this time.")


def delay(waits: Mapping[int, Mapping[int, int]]) -> Chart:
    """Return for how long queued jobs had been due when they began, over time.

    :param waits: how many fell into each class, by when their minute or hour began.
    """
    told = "Half of the queued jobs began within {} of being due, 95 % within {}."
    return percentiles_of(waits, told, "No queued job began in this time.")


def percentiles_of(buckets: Mapping[int, Mapping[int, int]], told: str, nothing: str) -> Chart:
    """Return the percentiles of durations over time, summed up by *told*, or by *nothing* where there are none."""
    found = [percentiles(counts, (0.5, 0.95)) if counts else (None, None) for counts in buckets.values()]
    values = {"p50": [p50 for p50, _ in found], "p95": [p95 for _, p95 in found]}
    merged = added(buckets.values())
    summary = told.format(*map(took, percentiles(merged, (0.5, 0.95)))) if merged else nothing
    colours = {"p50": "--series-a", "p95": "--series-b"}
    series = [{"label": name, "colour": colours[name], "values": numbers} for name, numbers in values.items()]
    return Chart(list(buckets), series, False, "s", summary)


def added(parts: Iterable[Mapping[K, int]]) -> dict[K, int]:
    """Return the sums of counts that have the same key."""
    found: dict[K, int] = {}
    for part in parts:
        for key, runs in part.items():
            found[key] = found.get(key, 0) + runs
    return found


def share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


Change = tuple[str, bool | None]
"""What is told of a change, and whether it is good; None where it is neither."""


def change_of(now: float | None, before: float | None, *, up_is_good: bool | None = None) -> Change | None:
    """Return by how much a number has grown since the period before; None where there was nothing to compare."""
    if now is None or before is None or not before:
        return None
    grown = now / before - 1
    if abs(grown) < 0.005:
        return "as before", None
    arrow = "▲" if grown > 0 else "▼"
    shown = f"× {now / before:.{1 if grown < 9 else 0}f}" if grown > 2 else f"{abs(grown) * 100:.0f} %"
    return f"{arrow} {shown}", None if up_is_good is None else up_is_good == (grown > 0)


def change_of_share(now: float | None, before: float | None, *, up_is_good: bool) -> Change | None:
    """Return the same of a share of 1, in points of percent."""
    if now is None or before is None:
        return None
    points = (now - before) * 100
    if abs(points) < 0.05:
        return f"as before ({percent(before)})", None
    return f"{'▲' if points > 0 else '▼'} {abs(points):.1f} points", up_is_good == (points > 0)
