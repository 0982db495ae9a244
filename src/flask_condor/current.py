"""The manager of whichever app is current: ``ctx``, which a whole program shares, and the fast way of its ``fire``."""

from __future__ import annotations

import typing as t

from flask.globals import _cv_app

from .chain import OUTSIDE
from .chain import runs_jobs
from .context import HOW_TO_ENTER
from .context import Context
from .context import CurrentContext
from .context import current_request
from .errors import OutsideApp
from .manager import EventsManager

if t.TYPE_CHECKING:
    from datetime import datetime

    from flask import Flask

    from .chain import Chain
    from .config import Config
    from .due import Delay
    from .emitting import AnySession
    from .event import Event
    from .event_name import Q
    from .queueing import Queueing
    from .registry import Registry
    from .signals import Call
    from .signals import Plan

_current_app_context = _cv_app.get


class BUSY:
    """Stands for a chain that cannot take the short way."""

    event = OUTSIDE


class CurrentEventsManager(EventsManager):
    """``ctx.events``: the manager of whichever app is current where it is used."""

    def __init__(self) -> None:
        pass

    @property
    def app(self) -> Flask:
        return resolve_events_manager().app

    @property
    def config(self) -> Config:
        return resolve_events_manager().config

    @property
    def registry(self) -> Registry:
        return resolve_events_manager().registry

    @property
    def queueing(self) -> Queueing:
        return resolve_events_manager().queueing

    def _chain(self) -> Chain:
        return resolve_events_manager()._chain()

    @runs_jobs
    def fire(
        self, event: Event[Q], delay: Delay | None = None, at: datetime | None = None, session: AnySession | None = None
    ) -> Event[Q]:
        """Do as :meth:`EventsManager.fire`, with the way of a plain event from a handler written out for speed."""
        chain: t.Any
        plan: Plan
        try:
            chain = _current_app_context()._condor  # type: ignore[attr-defined]  # a Chain, put there by _chain
            plan = chain.plans[event.name]
            origin = event._origin
        except (AttributeError, LookupError, TypeError):
            chain, plan, origin = BUSY, (), None
        if chain.event is not origin or delay is not None or at is not None or session is not None:
            return self._fire_the_long_way(event, delay, at, session)
        chain.event = event
        ctx = chain.ctx
        try:
            for job in plan:
                job(event, ctx)
            return event
        except Exception as error:  # the job border, as in Chain.run
            first_error = error
        finally:
            chain.event = None
        failed: Call = job  # pyright: ignore[reportPossiblyUnboundVariable]  # it raised, so there is one
        check = self.registry.signals.checks.get(event.name)
        if failed is check:
            raise first_error
        failures = [chain.failure(event, failed, first_error), *chain.run(event, after(failed, plan))]
        chain.settle(event, plan[1:] if check in plan[:1] else plan, failures)
        return event

    def _fire_the_long_way(
        self, event: Event[Q], delay: Delay | None, at: datetime | None, session: AnySession | None
    ) -> Event[Q]:
        manager = resolve_events_manager()
        if not hasattr(_current_app_context(), "_condor") and manager._new_chain(None).event is None:
            return self.fire(event, delay, at, session)
        return manager.fire(event, delay, at, session)


def after(job: Call, plan: Plan) -> Plan:
    """Return what of *plan* comes after *job*."""
    position = next(position for position, call in enumerate(plan) if call is job)
    return plan[position + 1 :]


def resolve_events_manager() -> EventsManager:
    """Return the events manager of the current app.

    :raises OutsideApp: outside an app context, or in that of an app without Condor.
    """
    here = _cv_app.get(None)
    if here is None:
        raise OutsideApp(f"there is no events manager outside an app context. {HOW_TO_ENTER}")
    manager: EventsManager | None = here.app.extensions.get("condor")
    if manager is None:
        raise OutsideApp(f"app {here.app.name!r} has no Condor: call Condor(app) or condor.init_app(app) first.")
    return manager


def forget_chain(_: object, **__: object) -> None:
    """Drop the chain of a request that ends, in case the app context outlives it, as in a test."""
    here: t.Any = _current_app_context()
    chain: Chain | None = getattr(here, "_condor", None)
    if chain is None or chain.ctx.request is not current_request():
        return
    if chain.replaced is None:
        del here._condor
    else:
        here._condor = chain.replaced


ctx: Context = CurrentContext(CurrentEventsManager())
"""Follows the current app context: ``ctx.events.fire(Event(NAME, payload))`` from any view, job or command."""
