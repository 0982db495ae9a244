"""The events manager: registers jobs and fires events; it decides when a job runs, never how its result is kept."""

from __future__ import annotations

import sys
import typing as t
from contextlib import AbstractContextManager
from contextlib import ExitStack
from contextlib import nullcontext
from contextvars import Token
from contextvars import copy_context
from threading import Thread

from flask.globals import _cv_app

from .chain import Chain
from .chain import step_here
from .config import Config
from .context import Context
from .context import current_request
from .due import NOW
from .emitting import Emitting
from .errors import EventInvalid
from .errors import LogUnavailable
from .event import Event
from .event import originate
from .job import AsyncCall
from .job import Job
from .job import Rules
from .job import loop_is_running
from .operating import Operating
from .queueing import Queueing
from .registry import Registry
from .retry import Retry
from .signals import Call
from .signals import JobSignal
from .signals import Plan

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from flask import Flask
    from sqlalchemy.orm import scoped_session

    from .context import Delivery
    from .due import Delay
    from .emitting import AnySession
    from .event_name import EventName
    from .event_name import PlainName
    from .event_name import Q
    from .job import JobFunction
    from .job import Run
    from .log import Log
    from .queued import Queued
    from .recording import Entry
    from .recording import Recording

    class HowRun(t.TypedDict, total=False):
        """The keywords of ``register``."""

        run: Run
        retry: Retry
        timeout: float | None
        at_most_once: bool
        priority: int
        queue: str


ENTERED = nullcontext()
RETRY = Retry()


class EventsManager(Emitting, Operating):
    """Registers jobs for event names, and fires events, for one app. Safe to use from many threads.

    It can be used where no app context is current, or another app's: it then enters a fresh one of its own app.
    """

    def __init__(self, app: Flask, config: Config, session: scoped_session[t.Any] | None = None) -> None:
        self._app = app
        self._config = config
        self._registry = Registry(app, self._run_later, self._enqueue_one, session)
        self._queueing = Queueing(app, config, self._registry)

    @property
    def app(self) -> Flask:
        return self._app

    @property
    def config(self) -> Config:
        return self._config

    @property
    def registry(self) -> Registry:
        return self._registry

    @property
    def queueing(self) -> Queueing:
        return self._queueing

    @property
    def log(self) -> Log:
        """The event log; nothing is opened before it is first used."""
        return self.queueing.log

    if t.TYPE_CHECKING:

        @t.overload
        def register(
            self, name: EventName[Q], *jobs: Callable[[Event[Q], Context], t.Any], **how: t.Unpack[HowRun]
        ) -> None: ...
        @t.overload
        def register(self, name: PlainName, *jobs: JobFunction, **how: t.Unpack[HowRun]) -> None: ...

    def register(  # noqa: PLR0913  # all but the name and the jobs by keyword
        self,
        name: t.Any,
        *jobs: JobFunction,
        run: Run = "now",
        retry: Retry = RETRY,
        timeout: float | None = None,
        at_most_once: bool = False,
        priority: int = 0,
        queue: str = "default",
    ) -> None:
        """Register *jobs* to run, in this order and after those registered before, when *name* is fired.

        An :class:`EventName` also brings the type of the payload, which then holds for each fire of that name. Without
        a job it only declares the name, so that firing it is no error. A job runs once for each time it is
        registered; it is kept alive, be it a lambda, a closure or the bound method of a temporary.

        :param run: "now": in the caller's thread, before ``fire`` returns; lost with the request when the process
            dies. "after_response": in the same thread once the response has been closed, in a fresh app context with
            the request still readable; dropped when the status is 5xx; at once outside a request; errors are logged.
            "after_commit": likewise, once the outermost transaction that is open in the SQLAlchemy session has been
            committed; dropped when that, or the SAVEPOINT in which the event was fired, is rolled back; at once when
            no transaction is open. The session is that of ``fire(session=...)``, else that of ``Condor(session=...)``,
            else Flask-SQLAlchemy's. "queued": in a worker, at least once: the delivery is written to the event log, in
            the transaction of the same session when that is in the log's database.
        :param retry: how often a queued job is tried, and how long it waits between two attempts.
        :param timeout: seconds that one attempt of a queued job may take; it is then ended and counted as failed.
        :param at_most_once: whether a queued job that failed, or whose worker was lost, is dead at once.
        :param priority: queued jobs of higher priority are started first. :param queue: the queue they wait in.
        :raises EventNameEmpty: and :raises EventInvalid: for a name that is none.
        :raises PayloadTypeInvalid: and :raises EventTypedTwice: for a payload type that cannot be, or is not the first.
        :raises JobInvalid: for a job that cannot be called as ``job(event, ctx=ctx)``.
        :raises JobRegisteredTwice: for a job that *name* has already with this run word.
        :raises RunInvalid: for an unknown run word. :raises RuleInvalid: for a rule that means nothing.
        :raises JobNotFindable: for queued jobs that have one name, such as two lambdas.
        :raises AsyncExtraMissing: for an ``async def`` job without ``flask[async]``.
        """
        caller = sys._getframe(1)
        rules = Rules(retry=retry, timeout=timeout, at_most_once=at_most_once, priority=priority, queue=queue)
        self.registry.add(name, jobs, run, rules, f"{caller.f_code.co_filename}:{caller.f_lineno}")
        if run == "queued":
            self.queueing.turn_on()

    def unregister(self, name: str, *jobs: JobFunction) -> None:
        """Take *jobs* out of *name*, from the next fire on; the name itself stays registered.

        :raises EventNotRegistered: for an unknown name. :raises JobInvalid: for a job that it does not have.
        """
        self.registry.remove(name, jobs)

    def signal(self, name: str) -> JobSignal:
        """Return the Blinker signal of *name*, to connect plain receivers: ``receiver(event, ctx=ctx)``.

        They run with the jobs and count in :class:`JobsFailed`, but do not make the name registered. ``connect`` holds
        them weakly, as Blinker does: keep the receiver, or pass ``weak=False``.
        """
        return self.registry.signals.signal(name)

    def fire(
        self, event: Event[Q], delay: Delay | None = None, at: datetime | None = None, session: AnySession | None = None
    ) -> Event[Q]:
        """Run the jobs registered for ``event.name``, in the order registered, and return the event.

        Every ``now`` job has run when this returns, also when one of them fails; events that they fire are run at
        once, depth first. ``after_response`` and ``after_commit`` jobs have been put off. Does not promise that
        anything survives the end of the process, nor that a job which failed is run again: save for ``queued`` jobs,
        which are accepted when this returns, or when the transaction that they were written in commits.

        :param event: what happened; its payload reaches the jobs as it is.
        :param delay: makes every job of the event queued, and due after so many seconds, a timedelta, or a dict of
            days, hours, minutes and seconds. Plain receivers are not called.
        :param at: likewise, due at that datetime, which has a time zone; at once when it has passed.
        :param session: the session whose commit the ``after_commit`` jobs wait for and whose transaction queued events
            are written in, when it is not the app's usual one.
        :raises EventNameEmpty: "event name is empty"; nothing has run.
        :raises EventNotRegistered: "event <name> is not registered"; nothing has run.
        :raises JobsFailed: when jobs failed, after all have run, with every error (``CONDOR_JOB_ERRORS="raise"``).
        :raises EventLoop: when events fire one another without an end.
        :raises DelayInvalid: for a *delay* or *at* that is no time to come; nothing has run.
        :raises PayloadInvalid: when the payload is not of the type that its name has; nothing has run.
        :raises PayloadNotSerializable: when a job is queued and JSON cannot hold the payload; nothing has run.
        :raises LogUnavailable: when the event log cannot be written: no queued job is accepted, all others have run.
        :raises SessionInvalid: for a *session* that is none of SQLAlchemy's; nothing has run.
        """
        with self._app_context(event):
            chain, plan, recording, refusal = self._prepare(event, delay, at, session, strict=True)
            chain.settle(event, plan, chain.run(event, plan, recording), refusal)
        return event

    async def fire_async(
        self,
        event: Event[Q],
        delay: Delay | None = None,
        at: datetime | None = None,
        *,
        session: AnySession | None = None,
    ) -> Event[Q]:
        """Do as :meth:`fire` from an async view or job: await the async jobs, and call the others."""
        with self._app_context(event):
            chain, plan, recording, refusal = self._prepare(event, delay, at, session, strict=True)
            chain.settle(event, plan, await chain.run_async(event, plan, recording), refusal)
        return event

    def disable(self) -> ExitStack:
        """Make every fire of this app a silent success, until :meth:`enable`, or until the ``with`` block ends.

        Registrations made meanwhile count. Events fired meanwhile are gone: none of them runs later.
        """
        signals, restoring = self.registry.signals, ExitStack()
        signals.disable(1)
        restoring.callback(signals.disable, -1)
        return restoring

    def enable(self) -> ExitStack:
        """Let events run again, for good, or until the ``with`` block ends."""
        signals, restoring = self.registry.signals, ExitStack()
        restoring.callback(signals.disable, signals.enable())
        return restoring

    def _app_context(self, event: object = None) -> AbstractContextManager[object]:
        here, tracing = _cv_app.get(None), self.registry.signals.tracing
        context = ENTERED if here is not None and here.app is self.app else self.app.app_context()
        return context if event is None or tracing is None else tracing.firing(event, context)

    def _prepare(
        self, event: t.Any, delay: object, at: object, session: object, *, strict: bool
    ) -> tuple[Chain, Plan, Recording | None, LogUnavailable | None]:
        if not isinstance(event, Event):
            raise EventInvalid(f"fire() takes an Event, got {event!r}. Write fire(Event(NAME, payload)), or emit().")
        chain, registry = self._chain(), self.registry
        plan = registry.sort(event.name, registry.plan_for(event, strict=strict))
        here = plan.here if session is None else registry.sessions.join(plan.here, session)
        originate(event, chain.origin_of(event.name))
        if delay is not None or at is not None:
            refusal = self.queueing.take_all(event, delay, at, chain.ctx, session)
            return chain, (), self.queueing.record(event, (), (), is_queued=True), refusal
        if not plan.queued:
            return chain, here, self.queueing.record(event, here, plan.entries, is_queued=False), None
        refusal = self.queueing.take(event, plan.queued, NOW, chain.ctx, session)
        return chain, here, self.queueing.record(event, here, plan.entries, is_queued=True), refusal

    def _chain(self) -> Chain:
        chain: Chain | None = getattr(_cv_app.get(), "_condor", None)
        if chain is None or chain.ctx.request is not current_request():
            return self._new_chain(chain)
        return chain

    def _new_chain(self, replaced: Chain | None, delivery: Delivery | None = None) -> Chain:
        here: t.Any = _cv_app.get()
        is_nested = replaced is not None or here._cv_tokens[-1].old_value is not Token.MISSING
        is_nested = is_nested and step_here() is not None
        context, signals = Context(self._app, current_request(), self, delivery), self._registry.signals
        make = Chain if signals.tracing is None else signals.tracing.chain
        here._condor = chain = make(context, signals.plans, self._config, is_nested, replaced)
        return chain

    def _enqueue_one(self, event: Event[t.Any], job: Queued) -> None:
        self.registry.typed_names.check(event)
        with self._app_context(event):
            self.queueing.outbox.enqueue_one(event, job, self._chain().ctx)

    def run_delivery(self, event: Event[t.Any], job: Job, delivery: Delivery) -> t.Any:
        """Run *job* for a delivery, in a fresh app context; return what it returns, and raise what it raises."""
        with self.registry.sessions.set_aside(), self.app.app_context():
            chain = self._new_chain(None, delivery)
            return chain.call(event, self.registry.signals.ready(job.function))

    def _run_later(self, event: Event[t.Any], job: Call, entry: Entry) -> None:
        def run() -> None:
            with self.app.app_context():
                self._chain().run(event, (job,), self.queueing.record_one(event, entry), traceback=True)

        if isinstance(job, AsyncCall) and loop_is_running():
            thread = Thread(target=copy_context().run, args=(run,))
            thread.start()
            thread.join()
        else:
            run()
