"""What a job is given beside its event: the app, the request, and the events manager to fire more."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator
from contextlib import contextmanager
from logging import Logger

import msgspec
from flask import current_app
from flask.globals import _cv_app
from flask.globals import _cv_request

from .errors import OutsideApp

if t.TYPE_CHECKING:
    from flask import Flask
    from flask import Request
    from flask.ctx import RequestContext

    from .manager import EventsManager

HOW_TO_ENTER = "Wrap the code in `with app.app_context():`, as Flask itself asks for."


class Delivery(msgspec.Struct, frozen=True):
    """What a job can tell of its own run in a worker."""

    id: int
    """The same for every attempt, so that a job can tell whether it has done its work before."""
    attempt: int
    """1 for the first start; a start counts also when its worker was killed."""


class Context:
    """The second argument of every job.

    Stays usable after the request, in ``after_response`` jobs and in threads that a job starts: it holds on to its
    app and its request, whatever context is current.
    """

    __slots__ = ("_app", "_delivery", "_request", "events")

    events: EventsManager
    """Fires further events: ``ctx.events.fire(Event(NAME, payload))``."""

    def __init__(
        self, app: Flask, request: Request | None, events: EventsManager, delivery: Delivery | None = None
    ) -> None:
        self._app = app
        self._request = request
        self._delivery = delivery
        self.events = events

    @property
    def app(self) -> Flask:
        """The Flask app."""
        return self._app

    @property
    def request(self) -> Request | None:
        """The request in which the event was fired, or None when it was fired outside one."""
        return self._request

    @property
    def delivery(self) -> Delivery | None:
        """The delivery that a worker runs the job for, or None outside a worker."""
        return self._delivery

    @property
    def logger(self) -> Logger:
        """The app's logger."""
        return self.app.logger

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._app.name!r}, request {self._request!r}>"


class CurrentContext(Context):
    """The module-level ``ctx``: like Flask's ``g``, it follows the app context that is current where it is used.

    :raises OutsideApp: by every use outside an app context, save ``request``, which is None there.
    """

    __slots__ = ()

    def __init__(self, events: EventsManager) -> None:
        self.events = events

    @property
    def app(self) -> Flask:
        if not current_app:
            raise OutsideApp(f"ctx was used outside an app context, so there is no app to speak of. {HOW_TO_ENTER}")
        return current_app._get_current_object()  # type: ignore[attr-defined,no-any-return]  # LocalProxy's own method

    @property
    def request(self) -> Request | None:
        return current_request()

    @property
    def delivery(self) -> Delivery | None:
        here = getattr(_cv_app.get(None), "_condor", None)
        return here.ctx.delivery if here is not None else None

    def __repr__(self) -> str:
        return f"<ctx of {current_app.name!r}>" if current_app else "<ctx outside an app>"


def current_request() -> Request | None:
    """Return the request that is current here, itself and not the proxy for it."""
    here = _cv_request.get(None)
    return here.request if here is not None else None


def keep_request() -> RequestContext | None:
    """Return what :func:`readable` needs to make the current request readable again when it has ended."""
    here = _cv_request.get(None)
    return here.copy() if here is not None else None


@contextmanager
def readable(kept: RequestContext | None) -> Iterator[None]:
    """Make a request that has ended readable again: ``flask.request``, ``session``, ``url_for``.

    Its context is not pushed, as leaving it would call the app's teardown functions a second time.
    """
    if kept is None or current_request() is kept.request:
        yield
        return
    before = _cv_request.set(kept)
    try:
        yield
    finally:
        _cv_request.reset(before)
