"""What stands in for an app's queue in a test: the same, in a database of its own that ends with the test."""

from __future__ import annotations

import typing as t
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec.structs import replace

from ..errors import CondorError
from ..queueing import Queueing

if t.TYPE_CHECKING:
    from flask import Flask

    from ..event import Event
    from ..log import Log
    from ..manager import EventsManager
    from ..recording import Entry
    from ..recording import Recording
    from ..signals import Plan

    Note = Callable[[Event[t.Any]], object]


class Apart(Queueing):
    """Queues for real, in an SQLite file in *folder*, and records no run that is not queued.

    :param note: called with each event that was fired, when nothing can refuse it any more.
    """

    def __init__(self, manager: EventsManager, folder: str, note: Note) -> None:
        super().__init__(manager.app, replace(manager.config, database_url=None, log="queued"), manager.registry)
        self._folder = folder
        self._note = note
        if manager.queueing.is_needed:
            self.turn_on()

    @cached_property
    def log(self) -> Log:
        from ..log import Log  # imports SQLAlchemy, which an app that keeps nothing shall not pay

        return Log(self._app, replace(self._config, database_url=f"sqlite:///{Path(self._folder, 'condor.db')}"))

    def record(
        self, event: Event[t.Any], plan: Plan, entries: tuple[Entry | None, ...], *, is_queued: bool
    ) -> Recording | None:
        if self._registry.signals.enabled:
            self._note(event)
        return None

    def record_one(self, event: Event[t.Any], entry: Entry) -> Recording | None:
        return None

    def close(self) -> None:
        """Let go of the file."""
        if "log" in vars(self):
            self.log.engine.dispose()


@contextmanager
def kept_apart(manager: EventsManager, note: Note) -> Iterator[None]:
    """Let what *manager* queues go to a database of its own until the ``with`` block ends."""
    signals, before, was_watched = manager.registry.signals, manager.queueing, manager.registry.signals.is_watched
    with TemporaryDirectory(prefix="condor-", ignore_cleanup_errors=True) as folder:
        apart = Apart(manager, folder, note)
        manager._queueing = apart
        signals.watch()
        try:
            yield
        finally:
            manager._queueing = before
            signals.is_watched = was_watched
            signals.disable(0)  # forgets the plans that were made meanwhile
            apart.close()


def manager_of(app: Flask) -> EventsManager:
    """Return the events manager of *app*.

    :raises CondorError: when it is no app, or has none.
    """
    manager: EventsManager | None = getattr(app, "extensions", {}).get("condor")
    if manager is None:
        raise CondorError(f"{app!r} is no Flask app with Condor: call Condor(app) or condor.init_app(app) first.")
    return manager
