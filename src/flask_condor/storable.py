"""The storable text: what the log keeps of an error, whoever ran the job, and of any text that a job may have made."""

from __future__ import annotations

import traceback

from .errors import shorten

LONGEST_ERROR = 10_000
"""Characters of an error's text and traceback that are kept."""


def describe_error(error: BaseException) -> str:
    """Return what is stored of an error: a line that names it, then its traceback; at most LONGEST_ERROR characters."""
    try:
        first = f"{type(error).__name__}: {shorten(error)}\n"
        shown = "".join(traceback.format_exception(error, limit=-20))
    except BaseException:  # noqa: B036  # an error may fail at telling itself, or fill the memory
        first, shown = f"{type(error).__name__}: its text could not be read\n", ""
    room = LONGEST_ERROR - len(first) - 2
    if len(shown) > room:
        shown = f"{shown[: room // 2]}\n…{shown[-(room // 2) :]}"
    return storable(first + shown)[:LONGEST_ERROR]


def storable(text: str) -> str:
    """Return *text* with what no database's text can hold written out: halves of characters, and PostgreSQL's NUL."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
