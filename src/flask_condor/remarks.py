"""The remarks of a diagnosis, and how one is made of what a step raises."""

from __future__ import annotations

import typing as t
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator

import msgspec

from .errors import CondorError
from .errors import shorten

if t.TYPE_CHECKING:
    from .manager import EventsManager


class Remark(msgspec.Struct, frozen=True):
    """What was found out about one subject."""

    level: t.Literal["ok", "warning", "error"]
    subject: str
    said: str


Step = Callable[["EventsManager"], Iterable[Remark]]


def remarks_of(step: Step, manager: EventsManager) -> Iterator[Remark]:
    """Return the remarks of one step; what it raises is one more."""
    try:
        with manager.app.app_context():
            yield from step(manager)
    except CondorError as error:
        yield Remark("error", subject_of(step), str(error))
    except Exception as error:  # a diagnosis goes on, whatever the app's own database or code does
        yield Remark("error", subject_of(step), f"{type(error).__name__}: {shorten(error)}")


def subject_of(step: Step) -> str:
    return step.__name__.removeprefix("look_at_").replace("_", " ")
