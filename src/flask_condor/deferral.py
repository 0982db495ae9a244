"""A deferral: one job that waits, with its event as it was, until the response is closed or the transaction ends."""

from __future__ import annotations

import functools
import typing as t
from collections.abc import Callable

from .context import keep_request
from .context import readable
from .event import snapshot
from .job import Run
from .job import name_of
from .job import path_of
from .line import tell

if t.TYPE_CHECKING:
    from .context import Context
    from .event import Event
    from .signals import Call

    Runner = Callable[[Event[t.Any], Call], None]
    """Runs one job with its event, in a fresh app context; only ``BaseException`` and teardown errors leave it."""


class PutsOff:
    """Stands in a signal for a job that waits for something; what it waits for is a matter of its subclass."""

    word: t.ClassVar[Run]
    """The run word of its registration."""

    defers = True

    def __init__(self, job: Call, run: Runner) -> None:
        self.__name__ = name_of(job)
        self.job = job
        self.run = run
        """Called with the event and the job when what was waited for has come."""


class Deferral:
    """One job and its event, put off where it is made, with the request that is current there."""

    def __init__(self, event: Event[t.Any], job: Call, run: Runner, ctx: Context) -> None:
        self.event = snapshot(event)
        self.job = name_of(job)
        self.path = path_of(getattr(job, "receiver", job))
        self.logger = ctx.logger
        self._kept = keep_request()
        self.request = self._kept.request if self._kept else None
        self._run = functools.partial(run, self.event, job)

    def run(self) -> None:
        """Run the job, with its request readable again; no error of it leaves this."""
        try:
            with readable(self._kept):
                self._run()
        except Exception as error:  # of the app's teardown functions: the job's own were turned into values before
            what = "the app context of job %s could not be closed; the job has run: see the app's teardown functions"
            tell(self.logger, "teardown_failed", what, self.job, error=error, **self.extras)

    @property
    def extras(self) -> dict[str, t.Any]:
        """What a log line about this tells beside its sentence."""
        return {"event_id": self.event.id, "event_name": self.event.name, "job": self.path}
