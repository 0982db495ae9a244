"""Queueing: takes the jobs that a worker runs out of a plan, and hands their event to the outbox."""

from __future__ import annotations

import typing as t
from collections.abc import Callable
from collections.abc import Sequence
from functools import cached_property

from .chain import watch_runs
from .due import due_from
from .errors import LogUnavailable
from .registry import refuse_namesakes
from .registry import refuse_unstorable

if t.TYPE_CHECKING:
    from flask import Flask

    from .config import Config
    from .context import Context
    from .due import Due
    from .event import Event
    from .log import Log
    from .outbox import Outbox
    from .recorder import Recorder
    from .recording import Entry
    from .recording import Recording
    from .registry import Registry
    from .rows import Deliverable
    from .signals import Plan


class Queueing:
    """What one app keeps of its fires beyond the process; SQLAlchemy is imported when there is something to keep."""

    def __init__(self, app: Flask, config: Config, registry: Registry) -> None:
        self._app = app
        self._config = config
        self._registry = registry
        self._is_on = False
        self._when_needed: Callable[[], object] = bool
        self.on_accept: Callable[[], object] = bool
        """Called when an event was handed to the outbox."""
        if config.database_url is not None:
            self.turn_on()

    @cached_property
    def log(self) -> Log:
        """The event log."""
        from .log import Log  # imports SQLAlchemy, which an app that keeps nothing shall not pay

        return Log(self._app, self._config)

    @cached_property
    def outbox(self) -> Outbox:
        """What writes queued events to the log."""
        from .outbox import Outbox  # likewise

        return Outbox(self.log, self._registry.sessions, self._registry.typed_names)

    @cached_property
    def recorder(self) -> Recorder:
        """What writes down the runs of jobs that are not queued."""
        from .recorder import Recorder  # likewise

        return Recorder(self.log, self._app.logger)

    @property
    def is_needed(self) -> bool:
        """Whether the app has asked for the event log: by a queued job, a delayed event, or by naming a database."""
        return self._is_on

    def when_needed(self, do: Callable[[], object]) -> None:
        """Call *do* as soon as the app needs the event log; now, when it does already."""
        if self._is_on:
            do()
        else:
            self._when_needed = do

    def turn_on(self) -> None:
        """Use the event log from now on; with ``CONDOR_LOG`` at "all", every run is recorded."""
        if not self._is_on:
            self._is_on = True
            self.outbox  # noqa: B018  # imports SQLAlchemy at start: two threads that import it at once fail
            self._when_needed()
            if self._config.log == "all":
                self._registry.signals.watch()
                watch_runs()

    def record(
        self, event: Event[t.Any], plan: Plan, entries: tuple[Entry | None, ...], *, is_queued: bool
    ) -> Recording | None:
        """Return what is to be told how each of *plan* ends, when runs are recorded.

        :param entries: under what. :param is_queued: whether the outbox writes the event.
        :raises EventInvalid: for an id that the event log cannot hold.
        """
        signals = self._registry.signals
        if not signals.is_watched or not signals.enabled or (is_queued and not plan):
            return None
        refuse_unstorable(event.id, "id")
        is_orphan = not plan and not self._registry.knows(event.name)
        payload = None if is_queued else self._registry.typed_names.to_json_or_none(event)
        return self.recorder.start(event, entries, is_orphan=is_orphan, awaits_event=is_queued, payload=payload)

    def record_one(self, event: Event[t.Any], entry: Entry) -> Recording | None:
        """The same for one job that was put off."""
        if not self._registry.signals.is_watched:
            return None
        return self.recorder.start(event, (entry,), is_orphan=False, awaits_event=True)

    @property
    def unwritten(self) -> int:
        """How many events have runs that this process has not recorded yet."""
        return self.recorder.unwritten if "recorder" in vars(self) else 0

    def flush(self) -> None:
        """Write down the runs that wait for it, for a second at most."""
        if "recorder" in vars(self):
            self.recorder.flush(1.0)

    def take(
        self, event: Event[t.Any], jobs: Sequence[Deliverable], due: Due, ctx: Context, session: object
    ) -> LogUnavailable | None:
        """Write *event* with a delivery for each of *jobs*, for a worker to run; return why it was refused, if it was.

        :raises: as :meth:`Outbox.enqueue`, save LogUnavailable, which is returned: the others shall run all the same.
        """
        refuse_unstorable(event.id, "id")
        try:
            self.outbox.enqueue(event, jobs, due, ctx, session)
        except LogUnavailable as refusal:
            return refusal
        self.on_accept()
        return None

    def take_all(
        self, event: Event[t.Any], delay: object, at: object, ctx: Context, session: object
    ) -> LogUnavailable | None:
        """Do the same for all jobs that *event* has, due as *delay* or *at* say; for none while it is silenced."""
        self.turn_on()
        due = due_from(delay, at)
        if self._registry.is_silent(event.name):
            return None
        jobs = self._registry.jobs_once(event.name)
        refuse_namesakes(event.name, jobs)
        return self.take(event, jobs, due, ctx, session)
