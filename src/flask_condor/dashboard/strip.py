"""The strip: the attempts of a run as bars on a line of time, with the waits between them, for an SVG."""

from __future__ import annotations

import typing as t

import msgspec

from .shapes import took

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..timeline import Step

WIDTH = 1000.0
NARROWEST = 8.0
"""Of a bar: so much can be seen."""


class Bar(msgspec.Struct, frozen=True):
    """An attempt, or the wait after it, when its outcome is "wait"."""

    x: float
    width: float
    outcome: str
    label: str


def strip_of(steps: Sequence[Step], now: float) -> list[Bar]:
    """Return the bars of *steps*, each as wide as its time, up to :data:`WIDTH` in all.

    A wait takes at most as much room as an attempt of its length would, on a scale that is the root of the time: so a
    run of milliseconds is seen beside a wait of hours.
    """
    lengths: list[tuple[float, str, str]] = []
    for step in steps:
        seconds = (now - step.started_at if step.started_at else 0.0) if step.ended_at is None else step.seconds or 0.0
        told = f"Attempt {step.number}: {step.outcome}, {took(seconds)}"
        lengths.append((max(0.0, seconds) ** 0.5, step.outcome, told))
        if step.wait is not None:
            lengths.append((step.wait**0.5, "wait", f"Waited {took(step.wait)}"))
    room = WIDTH - NARROWEST * len(lengths)
    whole = sum(length for length, _, _ in lengths) or 1.0
    bars, at = [], 0.0
    for length, outcome, told in lengths:
        width = NARROWEST + max(0.0, room) * length / whole
        bars.append(Bar(round(at, 1), round(width, 1), outcome, told))
        at += width
    return bars
