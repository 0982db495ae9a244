"""``run="after_response"``: jobs that wait until the response is closed, and are dropped when it is a 5xx."""

from __future__ import annotations

import typing as t
from collections import deque
from collections.abc import Callable
from collections.abc import Iterable

from flask import copy_current_request_context
from flask import has_request_context
from flask import request
from werkzeug.wsgi import ClosingIterator

from .event import Event
from .event import snapshot
from .job import name_of
from .signals import Call

if t.TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse
    from _typeshed.wsgi import WSGIApplication
    from _typeshed.wsgi import WSGIEnvironment
    from flask import Flask

PENDING = "flask_condor.pending"
"""The key of the WSGI environment under which a request keeps its :class:`Pending` jobs."""


class Later:
    """Stands in a signal for a job that runs after the response.

    In a request it keeps the event, with its payload as it is now, for later; elsewhere it runs the job at once.
    """

    def __init__(self, job: Call, run: Callable[[Event[t.Any], Call], None]) -> None:
        self.__name__ = name_of(job)
        self.job = job
        self.run = run

    def __call__(self, event: Event[t.Any], ctx: t.Any) -> None:
        pending: Pending | None = request.environ.get(PENDING) if has_request_context() else None
        if pending is None:
            self.run(snapshot(event), self.job)
        else:
            pending.add(snapshot(event), self)


class Pending:
    """The jobs that one request has put off."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._jobs: deque[tuple[Event[t.Any], Later, Callable[[], None]]] = deque()
        self._status = "no response"

    def add(self, event: Event[t.Any], later: Later) -> None:
        def run() -> None:
            later.run(event, later.job)

        self._jobs.append((event, later, copy_current_request_context(run)))

    def watch(self, start_response: StartResponse) -> StartResponse:
        """Return *start_response* such that the status it is given last is known."""

        def watched(status: str, headers: list[tuple[str, str]], *exc_info: t.Any) -> t.Any:
            self._status = status
            return start_response(status, headers, *exc_info)

        return t.cast("StartResponse", watched)

    def finish(self) -> None:
        """Run the jobs, and those that they put off in turn; or drop them when the response was a 5xx."""
        while self._jobs:
            event, later, run = self._jobs.popleft()
            if self._status[0] in "5n":
                self._app.logger.warning(
                    "job %s of event %s dropped: it was to run after the response, which was %s",
                    later.__name__,
                    event.name,
                    self._status,
                    extra={
                        "action": "job_dropped",
                        "event_id": event.id,
                        "event_name": event.name,
                        "job": later.__name__,
                    },
                )
                continue
            try:
                run()
            except Exception:  # of the app's teardown functions: the job's own were turned into values before
                self._app.logger.exception("the request context of job %s could not be closed", later.__name__)


class AfterResponse:
    """The WSGI middleware that finishes the pending jobs of each request once its response has been closed.

    Flask's test client closes no response by itself, so under ``app.testing`` the response is read to its end and
    closed here, and the jobs are done before ``client.get()`` returns.

    :param in_use: tells whether any job runs after the response; while none does, requests pass untouched.
    """

    def __init__(self, app: Flask, wsgi_app: WSGIApplication, in_use: Callable[[], bool]) -> None:
        self._app = app
        self._wsgi_app = wsgi_app
        self._in_use = in_use

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if not self._in_use():
            return self._wsgi_app(environ, start_response)
        pending = environ[PENDING] = Pending(self._app)
        try:
            body = self._wsgi_app(environ, pending.watch(start_response))
        except BaseException:
            pending.finish()
            raise
        closing = ClosingIterator(body, pending.finish)
        if not self._app.testing:
            return closing
        try:
            return list(closing)
        finally:
            closing.close()
