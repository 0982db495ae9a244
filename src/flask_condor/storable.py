"""The storable text: what the log keeps of an error, whoever ran the job, and of any text that a job may have made."""

from __future__ import annotations

import traceback

import msgspec

from .errors import shorten
from .top_frame import top_frame

LONGEST_ERROR = 10_000
"""Characters of an error's text and traceback that are kept."""


LONGEST_NAME = 255
"""Characters of the names of its class and of the function that it came from."""


class Failure(msgspec.Struct, frozen=True):
    """What is stored of an error."""

    error_type: str
    """Its class, as "module.Class", those of Python without their module."""
    frame: str
    """Where in the app's own code it came from, as "module:function"; empty when it came through none of that."""
    text: str
    """A line that names it, then its traceback; at most LONGEST_ERROR characters."""


def describe_error(error: BaseException) -> Failure:
    """Return what is stored of *error*; never raises."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return Failure(storable(name)[:LONGEST_NAME], storable(top_frame(error))[:LONGEST_NAME], text_of(error))


def text_of(error: BaseException) -> str:
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
