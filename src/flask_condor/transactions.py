"""``run="after_commit"``: jobs that wait until their SQLAlchemy session commits, and are dropped when it rolls back.

Importing this imports SQLAlchemy and puts the listeners on its ``Session`` class, once per process.
"""

from __future__ import annotations

import functools
import sys
import typing as t
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import ExitStack
from contextlib import contextmanager

from flask import got_request_exception
from flask import request
from sqlalchemy.event import listens_for
from sqlalchemy.orm import Session
from sqlalchemy.orm import SessionTransaction
from sqlalchemy.orm import scoped_session

from .deferral import Deferral
from .deferral import PutsOff
from .errors import SessionInvalid
from .line import tell

if t.TYPE_CHECKING:
    from flask import Flask

    from .context import Context
    from .deferral import Runner
    from .event import Event
    from .signals import Call
    from .signals import Plan

HELD = "flask_condor.held"
"""The key of ``session.info`` under which a session keeps what its open transactions hold."""
SESSIONS = (Session, scoped_session)
VIEW_RAISED = "flask_condor.view_raised"
"""The key of the WSGI environment that says that the request ended in an exception."""
THROUGH = (__name__.partition(".")[0], "blinker")
"""The packages between the line that fires and the job."""


class Sessions:
    """Finds the session that an after-commit job of one app has to wait for.

    :param scoped: the session given to ``Condor``; without one it is Flask-SQLAlchemy's, where the app has that.
    """

    def __init__(self, app: Flask, scoped: scoped_session[t.Any] | None) -> None:
        if scoped is not None and not isinstance(scoped, scoped_session):
            raise SessionInvalid("Condor(session=...)", scoped, "scoped_session")
        self._app = app
        self._scoped = scoped
        got_request_exception.connect(note_exception, app)

    def receiver(self, job: Call, run: Runner) -> AfterCommit:
        """Return what stands in a signal for *job*."""

        def run_apart(event: Event[t.Any], job: Call) -> None:
            with self.set_aside():
                run(event, job)

        return AfterCommit(job, run_apart, self.open_one)

    def join(self, plan: Plan, session: object) -> Plan:
        """Return *plan* such that its after-commit jobs wait for *session*.

        :raises SessionInvalid: when it is neither a session nor a scoped session.
        """
        refuse_other(session)
        if not plan:
            return plan
        find = functools.partial(existing, session)
        return tuple(AfterCommit(job.job, job.run, find) if isinstance(job, AfterCommit) else job for job in plan)

    def to_join(self, given: object) -> Session | None:
        """Return the session whose transaction a queued event is written in, or None when it is to have its own.

        :param given: joined always; without it, the session of the current scope when that has a transaction open.
        :raises SessionInvalid: when it is neither a session nor a scoped session.
        """
        if given is not None:
            refuse_other(given)
            return given() if isinstance(given, scoped_session) else t.cast(Session, given)
        session = self.open_one()
        return session if session is not None and session.in_transaction() else None

    def open_one(self) -> Session | None:
        """Return the session of the current scope; None when nothing has used it there."""
        return existing(self._scoped or getattr(self._app.extensions.get("sqlalchemy"), "session", None))

    @contextmanager
    def set_aside(self) -> Iterator[None]:
        """Take the caller's session out of its scope while a job runs in the same thread, and end that of the job."""
        if self._scoped is None:
            yield
            return
        registry = self._scoped.registry
        with ExitStack() as restoring:
            if registry.has():
                restoring.callback(registry.set, registry())
            registry.clear()
            restoring.callback(self._scoped.remove)
            yield


class AfterCommit(PutsOff):
    """Stands in a signal for a job that runs after the commit of the transaction that is open when it is called."""

    word = "after_commit"

    def __init__(self, job: Call, run: Runner, find_session: Callable[[], Session | None]) -> None:
        super().__init__(job, run)
        self._find_session = find_session

    def __call__(self, event: Event[t.Any], ctx: Context) -> None:
        deferral = Deferral(event, self.job, self.run, ctx)
        session = self._find_session()
        if session is None or not session.in_transaction():
            deferral.run()
        else:
            hold(session, deferral)


class Held:
    """What one transaction, a root or a SAVEPOINT, holds until it ends."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Deferral, str]] = []
        """The jobs, each with the place where its event was fired."""
        self.orphans: list[tuple[Deferral, str]] = []
        """Those of SAVEPOINTs in it that were closed: this transaction's end tells whether by mistake."""
        self.outcome: t.Literal["closed", "committed", "rolled back"] = "closed"

    def hand_up(self, parent: Held) -> None:
        """Leave what a SAVEPOINT holds to the transaction around it."""
        if self.outcome == "committed":
            parent.waiting += self.waiting
        elif self.outcome == "closed":
            parent.orphans += self.waiting + self.orphans

    def finish(self) -> None:
        """Run or drop what a root transaction holds."""
        if self.outcome == "committed":
            for deferral, _ in self.waiting:
                deferral.run()
        elif self.outcome == "closed":
            lost = {deferral.event.id: (deferral, place) for deferral, place in self.waiting + self.orphans}
            for deferral, place in lost.values():
                tell_never_committed(deferral, place)


def hold(session: Session, deferral: Deferral) -> None:
    """Let *deferral* wait for the commit of the transaction that *session* has open."""
    held = held_by(session)
    if held is not None:
        held.waiting.append((deferral, place_of_fire()))


def refuse_other(session: object) -> None:
    if not isinstance(session, SESSIONS):
        raise SessionInvalid("fire(session=...)", session, "Session")


def existing(session: object) -> Session | None:
    """Return the session itself, or of a scoped session the one of the current scope, without making one."""
    if isinstance(session, scoped_session):
        session = session() if session.registry.has() else None
    return session if isinstance(session, Session) else None


def held_by(session: Session) -> Held | None:
    """Return what the innermost open transaction of *session* holds; None when there is no transaction."""
    transaction = session.get_nested_transaction() or session.get_transaction()
    if transaction is None:
        return None
    all_held: dict[SessionTransaction, Held] = session.info.setdefault(HELD, {})
    held = all_held.get(transaction)
    if held is None:
        held = all_held[transaction] = Held()
    return held


def place_of_fire() -> str:
    """Return the file and line that fired, outside this package."""
    frame = sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in THROUGH:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def tell_never_committed(deferral: Deferral, place: str) -> None:
    if sys.exc_info()[0] is not None or (deferral.request and VIEW_RAISED in deferral.request.environ):
        return
    tell(
        deferral.logger,
        "event_never_committed",
        "event %s fired at %s was never committed: call commit(). What was to follow from it is dropped.",
        deferral.event.name,
        place,
        **deferral.extras,
        fired_from=place,
    )


def note_exception(app: Flask, **_: t.Any) -> None:
    request.environ[VIEW_RAISED] = True


# The outcome is noted also for a transaction that holds nothing yet: a listener of the app's, called after these, may
# still fire.
@listens_for(Session, "after_commit")
def note_commit(session: Session) -> None:
    held = held_by(session)
    if held is not None:
        held.outcome = "committed"


@listens_for(Session, "after_rollback")
def note_rollback(session: Session) -> None:
    held = held_by(session)
    if held is not None:
        held.outcome = "rolled back"


# Not after_commit, which SQLAlchemy also calls for a released SAVEPOINT, and while the session cannot be used yet.
@listens_for(Session, "after_transaction_end")
def end(session: Session, transaction: SessionTransaction) -> None:
    held: Held | None = session.info.get(HELD, {}).pop(transaction, None)
    if held is None:
        return
    around = held_by(session) if transaction.nested else None
    if around is None:
        held.finish()
    else:
        held.hand_up(around)
