"""Shapes: what templates make of numbers, moments and durations, and of values that become lines and bars."""

from __future__ import annotations

import json
import math
import typing as t
from collections.abc import Iterable
from collections.abc import Sequence
from datetime import UTC
from datetime import datetime

from .here import now

UNITS = ((86_400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))
MOST = 10_000
"""Up to how many rows are counted."""


def moment_of(at: float | None) -> datetime | None:
    try:
        return None if at is None else datetime.fromtimestamp(at, UTC)
    except (ValueError, OverflowError, OSError, TypeError):
        return None


def iso(at: float | None) -> str:
    """Return a moment in ISO 8601, in UTC."""
    moment = moment_of(at)
    return "" if moment is None else moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def utc(at: float | None) -> str:
    """Return a moment for reading, in UTC, to the second."""
    moment = moment_of(at)
    return "–" if moment is None else moment.strftime("%Y-%m-%d %H:%M:%S")


def ago(at: float | None) -> str:
    """Return how long ago a moment was, or in how long it will be."""
    if at is None or moment_of(at) is None:
        return "–"
    passed = now() - at
    if abs(passed) < 1:
        return "now"
    return f"{span(passed)} ago" if passed > 0 else f"in {span(-passed)}"


def state_of(run: t.Any) -> str:
    """Return the state of a run in the words of the pages, which tell apart what is pending.

    :param run: has ``state``, ``attempt`` and ``due_at``, be it a row or what was made of one.
    """
    if run.state != "pending":
        return str(run.state)
    return "retrying" if run.attempt else "scheduled" if run.due_at > now() else "waiting"


def span(seconds: float) -> str:
    """Return a length of time in its largest unit: "3 min"."""
    for size, unit in UNITS:
        if seconds >= size:
            return f"{int(seconds // size):,} {unit}"
    return "0 s"


def took(seconds: float | None) -> str:
    """Return a duration in three digits: "12.3 ms"; a dash when there is none."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    if seconds >= 120:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes:,} min {rest:02} s" if minutes < 120 else f"{minutes // 60:,} h {minutes % 60:02} min"
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")):
        scaled = seconds * factor
        if scaled >= 1:
            return f"{three_digits(scaled)} {unit}"
    return "0 s" if seconds <= 0 else "<1 µs"


def three_digits(number: float) -> str:
    return f"{number:.2f}" if number < 10 else f"{number:.1f}" if number < 100 else f"{number:.0f}"


def counted(number: float | None, more: bool = False) -> str:
    """Return a number with thin spaces between thousands: "10 000+", the plus when there are *more*."""
    if number is None:
        return "–"
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}") + ("+" if more else "")


def percent(share: float | None) -> str:
    """Return a share of 1 in percent, so that only all of it is 100 and only nothing is 0."""
    if share is None:
        return "–"
    shown = f"{share * 100:.1f}"
    if shown == "100.0" and share < 1:
        return "99.9+ %"
    if shown == "0.0" and share > 0:
        return "<0.1 %"
    return f"{shown.removesuffix('.0')} %"


def bytes_of(size: float | None) -> str:
    """Return a size in bytes for reading."""
    if size is None:
        return "–"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def lines_of(values: Sequence[float | None], width: int = 120, height: int = 28) -> list[str]:
    """Return the points of SVG polylines that show *values* from left to right, the highest on top.

    A line ends where a value is None; a value that stands alone is a level line, as wide as there is room for one.
    """
    known = [value for value in values if value is not None]
    scale, step = (height - 2) / (max(known, default=0) or 1), width / max(1, len(values) - 1)
    found: list[list[tuple[float, float]]] = [[]]
    for at, value in enumerate(values):
        if value is None:
            found.append([])
        else:
            found[-1].append((at * step, height - 1 - value * scale))
    lines = [line if len(line) > 1 else level(*line[0], step / 2, width) for line in found if line]
    return [" ".join(f"{x:.1f},{y:.1f}" for x, y in line) for line in lines]


def level(x: float, y: float, reach: float, width: int) -> list[tuple[float, float]]:
    return [(max(0.0, x - reach), y), (min(float(width), x + reach), y)]


def area_of(line: str, height: int = 28) -> str:
    """Return the points of the area below a line, given by its points."""
    first, last = (line.split()[at].partition(",")[0] for at in (0, -1))
    return f"{first},{height} {line} {last},{height}"


def pretty(value: t.Any) -> str:
    """Return a value as JSON with a line for each of its parts."""
    try:
        return json.dumps(value, indent=2, ensure_ascii=False, default=str)
    except RecursionError:
        return json.dumps(value, ensure_ascii=False, default=str) if not isinstance(value, dict | list) else repr(value)


def short_job(path: str | None) -> str:
    """Return the name of a job, of its path "module:qualname"."""
    return "–" if path is None else path.rpartition(":")[2]


def compact(value: Iterable[t.Any]) -> str:
    """Return a value as JSON for an attribute, which a script reads."""
    return json.dumps(value, separators=(",", ":"))


FILTERS = {
    "ago": ago,
    "area": area_of,
    "bytes": bytes_of,
    "compact": compact,
    "counted": counted,
    "iso": iso,
    "job": short_job,
    "lines": lines_of,
    "percent": percent,
    "pretty": pretty,
    "span": span,
    "state": state_of,
    "took": took,
    "utc": utc,
}
