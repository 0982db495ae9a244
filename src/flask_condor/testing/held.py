"""What a fake holds back: jobs that would have run, in the order and with the request that they would have had."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from contextlib import contextmanager
from contextvars import copy_context
from copy import copy
from functools import partial

import msgspec

from ..context import current_request
from ..context import keep_request
from ..context import readable
from ..deferral import PutsOff
from ..errors import EventLoop
from ..errors import JobsFailed
from ..job import loop_is_running
from ..job import name_of
from ..queued import is_queued

if t.TYPE_CHECKING:
    from flask.ctx import RequestContext

    from ..chain import Failure
    from ..context import Context
    from ..event import Event
    from ..job import Run
    from ..manager import EventsManager
    from ..signals import Call
    from ..signals import Plan


class Held(msgspec.Struct, eq=False):
    """One job that was held back instead of being called."""

    word: Run
    event: Event[t.Any]
    call: Call
    request: RequestContext | None

    @property
    def of(self) -> object:
        """What it shares with the other jobs of its fire; each job that was put off has a copy of the event."""
        return id(self.event) if self.word == "now" else self.event.id


class HoldsBack:
    """Stands in a plan for a job, or a plain receiver, that would be called now."""

    def __init__(self, call: Call, hold: t.Callable[[Event[t.Any], Call], None]) -> None:
        self.__name__ = name_of(call)
        self._call = call
        self._hold = hold

    def __call__(self, event: Event[t.Any], ctx: Context) -> None:
        self._hold(event, self._call)


class Shelf:
    """Where the jobs of one fake are held until they are asked for."""

    def __init__(self, manager: EventsManager) -> None:
        self._manager = manager
        self._held: list[Held] = []
        self._passing: tuple[str | None] | None = None

    def plan(self, event: Event[t.Any], plan: Plan) -> Plan:
        """Return *plan* such that its jobs are held back when they would run; queued ones are queued, as always.

        What waits for the response or the commit waits for it all the same, and is dropped as it would be.
        """
        passes = self._passing is not None and self._passing[0] in (None, event.name)
        return tuple(self._stand_in(call, passes=passes) for call in plan)

    def _stand_in(self, call: Call, *, passes: bool) -> Call:
        if isinstance(call, PutsOff):
            later: t.Any = copy(call)
            later.run = partial(self._hold, call.word)
            return t.cast("Call", later)
        return call if passes or is_queued(call) else HoldsBack(call, partial(self._hold, "now"))

    def _hold(self, word: Run, event: Event[t.Any], call: Call) -> None:
        self._held.append(Held(word, event, call, keep_request()))

    def run(self, word: Run, name: str | None) -> None:
        """Run what was registered with run word *word*, of event *name* or of all, and what comes of it meanwhile.

        :raises JobsFailed: when jobs of an event failed, once all of that event have run; those of later ones wait.
        """
        while group := self._take(word, name):
            if loop_is_running():
                with ThreadPoolExecutor(1) as aside:
                    aside.submit(copy_context().run, self._run, group, name).result()
            else:
                self._run(group, name)

    def _take(self, word: Run, name: str | None) -> list[Held]:
        """Return the jobs of the event that was first, and hold them no more."""
        asked = [one for one in list(self._held) if one.word == word and name in (None, one.event.name)]
        group = [one for one in asked if one.of == asked[0].of]
        for one in group:
            self._held.remove(one)
        return group

    def _run(self, group: list[Held], name: str | None) -> None:
        event = group[0].event
        if group[0].word == "now":
            failures = self._run_now(group, name)
        else:
            failures = [failure for one in group for failure in self._run_later(one)]
        for _, error in failures:
            if isinstance(error, EventLoop):
                raise error
        if failures:
            ran = [name_of(one.call) for one in group]
            for job, _ in failures:
                ran.remove(job)
            raise JobsFailed(event.name, failures, ran)

    def _run_now(self, group: list[Held], name: str | None) -> list[Failure]:
        before, self._passing = self._passing, (name,)
        try:
            with self._place_of(group[0]):
                return self._manager._chain().run(group[0].event, tuple(one.call for one in group))
        finally:
            self._passing = before

    def _run_later(self, held: Held) -> list[Failure]:
        with readable(held.request), self._fresh_context():
            return self._manager._chain().run(held.event, (held.call,), traceback=True)

    @contextmanager
    def _place_of(self, held: Held) -> Iterator[None]:
        """Enter where the job would have run: its request, when that has ended, in a fresh app context."""
        if held.request is None or current_request() is held.request.request:
            with self._manager._app_context():
                yield
        else:
            with readable(held.request), self._fresh_context():
                yield

    @contextmanager
    def _fresh_context(self) -> Iterator[None]:
        registry = self._manager.registry
        with ExitStack() as entered:
            if "sessions" in vars(registry):
                entered.enter_context(registry.sessions.set_aside())
            entered.enter_context(self._manager.app.app_context())
            yield
