"""The Prometheus collector: reads the numbers of one app from its event log, so every process of it gives the same."""

from __future__ import annotations

import math
import typing as t
from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Sequence

from ..errors import CondorError
from ..errors import ExtraMissing

try:
    from prometheus_client.core import CounterMetricFamily
    from prometheus_client.core import GaugeMetricFamily
    from prometheus_client.core import HistogramMetricFamily
except ImportError as missing:
    raise ExtraMissing("prometheus-client", "prometheus", "flask_condor.instrumentation.prometheus") from missing

if t.TYPE_CHECKING:
    from flask import Flask
    from prometheus_client.core import Metric

    from ..manager import EventsManager
    from ..presence import Backlog
    from ..rates import Sum

BOUNDS = range(38, 38 + 6 * 14 + 1, 6)
"""The classes of durations whose upper ends bound the buckets: 15 of them, from 1 ms to 75 min, each 3 times wider."""


class CondorCollector:
    """Collects what the event log of *app* tells: ``registry.register(CondorCollector(app))``.

    Each scrape reads the log, and makes it when there is none. While that cannot be done there is only
    ``condor_up 0``.
    """

    def __init__(self, app: Flask) -> None:
        manager: EventsManager | None = app.extensions.get("condor")
        if manager is None:
            raise CondorError(f"app {app.name!r} has no Condor: call Condor(app) before CondorCollector(app).")
        self._log = manager.log

    def describe(self) -> Iterable[Metric]:
        """Return what :meth:`collect` gives, without a number: no database is asked when it is registered."""
        return [is_up(1), *gauges(None), *runs([])]

    def collect(self) -> Iterable[Metric]:
        """Read the numbers."""
        from ..presence import backlog  # imports SQLAlchemy, of which two first imports at once would fail
        from ..rates import ever

        try:
            with self._log.read() as connection:
                return [is_up(1), *gauges(backlog(connection)), *runs(ever(connection))]
        except CondorError:
            return [is_up(0)]


def is_up(value: int) -> Metric:
    return GaugeMetricFamily("condor_up", "Whether the event log could be read.", value=value)


def gauges(backlog: Backlog | None) -> Iterable[Metric]:
    for name, text in (
        ("pending_deliveries", "Deliveries that wait for a worker, due or not."),
        ("due_deliveries", "Those of them that are due."),
        ("oldest_due_seconds", "How long the oldest of these has been due."),
        ("dead_deliveries", "Deliveries that were given up."),
        ("workers", "Workers that were seen in the last 30 seconds."),
    ):
        yield GaugeMetricFamily(f"condor_{name}", text, value=None if backlog is None else getattr(backlog, name))


def runs(sums: Sequence[Sum]) -> Iterable[Metric]:
    ended: dict[tuple[str, ...], int] = defaultdict(int)
    seconds: dict[tuple[str, ...], float] = defaultdict(float)
    classes: dict[tuple[str, ...], dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for one in sums:
        ended[one.name, one.job, one.outcome] += one.runs
        if one.outcome != "lost":
            seconds[one.name, one.job] += one.seconds
            classes[one.name, one.job][one.bucket] += one.runs
    counter = CounterMetricFamily("condor_runs", "Runs of jobs that ended.", labels=("event", "job", "outcome"))
    for labels, count in sorted(ended.items()):
        counter.add_metric(labels, count)
    text = "How long they took, save those whose worker was lost."
    histogram = HistogramMetricFamily("condor_run_duration_seconds", text, labels=("event", "job"))
    for labels, counts in sorted(classes.items()):
        histogram.add_metric(labels, cumulated(counts), seconds[labels])
    return counter, histogram


def cumulated(counts: dict[int, int]) -> list[tuple[str, float]]:
    from ..rates import GROWTH
    from ..rates import SHORTEST

    def up_to(bound: float) -> float:
        return float(sum(runs for bucket, runs in counts.items() if bucket <= bound))

    return [*((f"{SHORTEST * GROWTH**bound:.6g}", up_to(bound)) for bound in BOUNDS), ("+Inf", up_to(math.inf))]
