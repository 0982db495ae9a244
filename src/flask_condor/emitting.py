"""The part of the events manager that fires by name: ``emit``, which makes the event and takes unknown names too."""

from __future__ import annotations

import typing as t

from .chain import Chain
from .event import Event
from .signals import Plan

if t.TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from datetime import datetime

    from sqlalchemy.orm import Session
    from sqlalchemy.orm import scoped_session

    from .due import Delay
    from .errors import LogUnavailable
    from .event_name import Carried
    from .event_name import EventName
    from .event_name import PlainName
    from .event_name import Q
    from .recording import Recording

    AnySession = Session | scoped_session[t.Any]

    class How(t.TypedDict, total=False):
        """The keywords of ``emit``."""

        id: str | None
        delay: Delay | None
        at: datetime | None
        session: AnySession | None


class Emitting:
    """What the manager offers for names that may have no job."""

    if t.TYPE_CHECKING:

        def _app_context(self, event: object) -> AbstractContextManager[object]: ...
        def _prepare(
            self, event: t.Any, delay: object, at: object, session: object, *, strict: bool
        ) -> tuple[Chain, Plan, Recording | None, LogUnavailable | None]: ...

    if t.TYPE_CHECKING:

        @t.overload
        def emit(self, name: EventName[Q], data: Carried[Q], **how: t.Unpack[How]) -> Event[Q]: ...
        @t.overload
        def emit(self, name: PlainName, data: t.Any = None, **how: t.Unpack[How]) -> Event[t.Any]: ...

    def emit(
        self,
        name: t.Any,
        data: t.Any = None,
        *,
        id: str | None = None,
        delay: Delay | None = None,
        at: datetime | None = None,
        session: AnySession | None = None,
    ) -> Event[t.Any]:
        """Make an event and fire it; unlike ``fire``, a name that nobody listens to is accepted.

        :param data: the payload; of a typed name, that type or a dict that becomes one.
        :param id: the event's id; a UUIDv7 when not given. Fired again with the same id, its queued jobs are not
            queued again; jobs that run in this process run each time.
        :raises: as ``fire``, save EventNotRegistered.
        """
        event: Event[t.Any] = Event(name, data, id or "")
        with self._app_context(event):
            chain, plan, recording, refusal = self._prepare(event, delay, at, session, strict=False)
            chain.settle(event, plan, chain.run(event, plan, recording), refusal)
        return event

    if t.TYPE_CHECKING:

        @t.overload
        async def emit_async(self, name: EventName[Q], data: Carried[Q], **how: t.Unpack[How]) -> Event[Q]: ...
        @t.overload
        async def emit_async(self, name: PlainName, data: t.Any = None, **how: t.Unpack[How]) -> Event[t.Any]: ...

    async def emit_async(
        self,
        name: t.Any,
        data: t.Any = None,
        *,
        id: str | None = None,
        delay: Delay | None = None,
        at: datetime | None = None,
        session: AnySession | None = None,
    ) -> Event[t.Any]:
        """Do as ``emit`` from an async view or job: await the async jobs, and call the others."""
        event: Event[t.Any] = Event(name, data, id or "")
        with self._app_context(event):
            chain, plan, recording, refusal = self._prepare(event, delay, at, session, strict=False)
            chain.settle(event, plan, await chain.run_async(event, plan, recording), refusal)
        return event
