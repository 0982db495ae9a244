"""The traces: the stored text of an error, its secrets hidden, in parts: the app's own code, and what is folded."""

from __future__ import annotations

import re
import typing as t
from itertools import groupby

import msgspec

from ..top_frame import is_own

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from ..redaction import Redaction
    from ..timeline import Step

FRAME = re.compile(r'  File "(?P<path>[^"\n]*)", line \d+')
PACKAGES = re.compile(r"(?:site|dist)-packages[/\\](\w+)")


class Part(msgspec.Struct, frozen=True):
    """Lines of a trace that stand together."""

    text: str
    is_folded: bool
    """Whether they are of no code of the app."""
    frames: int
    packages: str
    """Whose code they are of."""


class Told(msgspec.Struct, frozen=True):
    """An attempt as it is shown."""

    step: Step
    summary: str
    """Of its error."""
    trace: list[Part]
    lines: str
    """What it logged."""


def summary_of(redaction: Redaction, text: str | None) -> str:
    """Return the first line of an error."""
    return redaction.of_lines((text or "").partition("\n")[0])


def parts_of(redaction: Redaction, text: str | None) -> list[Part]:
    """Return the traceback of an error, without the first line that only names it."""
    rest = redaction.of_lines((text or "").partition("\n")[2])
    return [part_of(is_folded, list(lines)) for is_folded, lines in groupby(frames_in(rest), key=lambda one: one[0])]


def told_of(redaction: Redaction, steps: Iterable[Step]) -> list[Told]:
    """Return what can be shown of each attempt."""
    return [
        Told(
            one,
            summary_of(redaction, one.error),
            parts_of(redaction, one.error),
            redaction.of_lines(one.lines or ""),
        )
        for one in steps
    ]


def frames_in(text: str) -> Iterable[tuple[bool, str]]:
    """Return each frame with its lines of code, and each line that is of none; whether they are to be folded."""
    lines: list[str] = []
    for line in text.splitlines():
        if not line.startswith("    ") and lines:
            yield is_foreign(lines[0]), "\n".join(lines)
            lines = []
        lines.append(line)
    if lines:
        yield is_foreign(lines[0]), "\n".join(lines)


def is_foreign(line: str) -> bool:
    found = FRAME.match(line)
    return found is not None and not is_own(found["path"])


def part_of(is_folded: bool, frames: list[tuple[bool, str]]) -> Part:
    text = "\n".join(frame for _, frame in frames)
    packages = dict.fromkeys(PACKAGES.findall(text)) if is_folded else {}
    if "flask_condor" in text and is_folded:
        packages["flask_condor"] = None
    return Part(text, is_folded, len(frames), ", ".join(packages))
