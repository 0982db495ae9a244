"""What stands in a signal for a queued job: a fire writes a delivery for it instead of calling it."""

from __future__ import annotations

import typing as t

from .job import Rules
from .job import name_of
from .job import path_of

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from .context import Context
    from .event import Event
    from .job import JobFunction

    Enqueue = Callable[[Event[t.Any], "Queued"], None]


def is_queued(call: object) -> bool:
    """Tell whether what stands in a signal is for a worker to run."""
    return getattr(call, "is_queued", False)


class Queued:
    """Stands in a signal for a job that a worker runs.

    ``fire`` takes all of an event's out of its plan and writes them together; only Blinker's own ``send`` calls one.
    """

    is_queued = True

    def __init__(self, function: JobFunction, rules: Rules, enqueue: Enqueue) -> None:
        self.__name__ = name_of(function)
        self.path = path_of(function)
        self.rules = rules
        self._enqueue = enqueue

    def __call__(self, event: Event[t.Any], ctx: Context) -> None:
        self._enqueue(event, self)
