"""The plan: how a worker is to work, and whom it tells of what it does."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from .begun import Left
from .deliveries import Outcome


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker works."""

    threads: int = 4
    """How many jobs run at once."""
    grace: float = 30.0
    """Seconds that running jobs are given when it ends; what still runs then is given back."""
    once: bool = False
    """Whether it ends when nothing is due."""
    replaceable: bool = True
    """Whether its process may be ended when a job has broken it."""
    alive: Callable[[], object] = bool
    """Called at every turn, a few times per second at least."""
    on_begin: Callable[[int], object] = bool
    """Called with the number of each delivery before its job begins, in the thread that runs it."""
    on_run: Callable[[Outcome], object] = bool
    """Called with each outcome that was written."""
    left: tuple[Left, ...] = ()
    """What workers that have ended left behind."""
