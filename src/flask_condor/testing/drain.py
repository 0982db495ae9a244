"""The drain: a real worker that runs what is due and ends, as ``flask events worker --once`` does."""

from __future__ import annotations

import math
import typing as t

from ..plan import Plan
from ..worker import Worker

if t.TYPE_CHECKING:
    from ..deliveries import Outcome
    from ..manager import EventsManager


class Drain(Worker):
    """Runs one job after the other, and leaves schedules to the clock of the test."""

    def __init__(self, manager: EventsManager) -> None:
        self.outcomes: list[Outcome] = []
        super().__init__(manager, Plan(threads=1, once=True, replaceable=False, on_run=self.outcomes.append))
        self._upkeep_at = math.inf


def drain(manager: EventsManager) -> list[Outcome]:
    """Run what is due in the log of *manager*, and what becomes due meanwhile; return what came of it, in order."""
    worker = Drain(manager)
    worker.open()
    worker.run()
    return worker.outcomes
