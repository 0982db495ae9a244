"""The logged lines: what is written to Python's log while a job runs, to be kept with that run.

Records are seen where they are made, and not by a handler: with one on the root logger, ``basicConfig`` and Flask would
take the app's logging for configured and leave it, and loggers that do not propagate would not be seen.
"""

from __future__ import annotations

import logging
import time
import typing as t
from collections import deque
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

from .errors import shorten
from .errors import shorten_repr
from .storable import storable

LEVEL = logging.INFO
"""From which on lines are kept, if the levels of the app's own loggers let them be written."""
MOST = 50
"""How many lines of a run are kept, the last ones."""
LARGEST = 4096
"""How many characters they have together at most."""
LONGEST = 1000
"""Characters of one of them."""


class LoggedLines:
    """Those of one run; safe to add to from the threads that its job starts in copies of its context."""

    def __init__(self) -> None:
        self._last: deque[str] = deque(maxlen=MOST)
        self._count = 0

    def add(self, record: logging.LogRecord) -> None:
        """Keep a record as a line."""
        self._count += 1
        self._last.append(line_of(record))

    @property
    def text(self) -> str | None:
        """The last lines, the oldest first, below one that says how many were left out; None without any."""
        kept, room = deque[str](), LARGEST
        for line in reversed(self._last.copy()):
            room -= len(line) + 1
            if room < 0:
                break
            kept.appendleft(line)
        left_out = self._count - len(kept)
        if left_out > 0:
            kept.appendleft(f"… {left_out:,} earlier {'line is' if left_out == 1 else 'lines are'} left out")
        return "\n".join(kept) or None


_here: ContextVar[LoggedLines | None] = ContextVar("condor_logged_lines", default=None)


@contextmanager
def gathered() -> Iterator[LoggedLines]:
    """Gather what is logged in this context until the ``with`` block ends."""
    lines = LoggedLines()
    before = _here.set(lines)
    try:
        yield lines
    finally:
        _here.reset(before)


@cache
def watch_records() -> None:
    """Gather from now on what is logged in this process, where anything is gathered."""
    tell_of_records(add_to_gathered)


def add_to_gathered(record: logging.LogRecord) -> None:
    lines = _here.get()
    if lines is not None:
        lines.add(record)


def tell_of_records(listener: Callable[[logging.LogRecord], None]) -> None:
    """Call *listener* with each record of that level that is made in this process from now on."""
    make = logging.getLogRecordFactory()

    def make_and_tell(*args: t.Any, **values: t.Any) -> logging.LogRecord:
        record = make(*args, **values)
        if (record.levelno or 0) >= LEVEL:
            listener(record)
        return record

    logging.setLogRecordFactory(make_and_tell)


def line_of(record: logging.LogRecord) -> str:
    """Return *record* as ``2026-11-21 09:00:00.123 INFO app: text``, in UTC, what follows a line break indented."""
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(record.created))
    text = f"{at}.{int(record.msecs):03} {record.levelname} {record.name}: {text_of(record)}"
    return storable(text if len(text) <= LONGEST else text[: LONGEST - 1] + "…").replace("\n", "\n  ")


def text_of(record: logging.LogRecord) -> str:
    """Return what *record* says, and the error that it came with, without its traceback; never raises."""
    try:
        said = record.getMessage()
    except Exception:  # the arguments of the app's own line may not fit it, which logging itself tells of
        said = shorten_repr(record.msg)
    error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    return said if error is None else f"{said} ({type(error).__name__}: {shorten(error)})"
