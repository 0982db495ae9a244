"""``run="after_response"``: jobs that wait until the response is closed, and are dropped when it is a 5xx."""

from __future__ import annotations

import typing as t
from collections import deque
from collections.abc import Callable
from collections.abc import Iterable

from werkzeug.wsgi import ClosingIterator

from .deferral import Deferral
from .deferral import PutsOff
from .line import tell

if t.TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse
    from _typeshed.wsgi import WSGIApplication
    from _typeshed.wsgi import WSGIEnvironment
    from flask import Flask

    from .context import Context
    from .event import Event

PENDING = "flask_condor.pending"
"""The key of the WSGI environment under which a request keeps its :class:`Pending` jobs."""


class Later(PutsOff):
    """Stands in a signal for a job that runs after the response.

    In a request it keeps the event, with its payload as it is now, for later; elsewhere it runs the job at once.
    """

    word = "after_response"

    def __call__(self, event: Event[t.Any], ctx: Context) -> None:
        deferral = Deferral(event, self.job, self.run, ctx)
        pending: Pending | None = deferral.request.environ.get(PENDING) if deferral.request else None
        if pending is None:
            deferral.run()
        else:
            pending.add(deferral)


class Pending:
    """The jobs that one request has put off."""

    def __init__(self) -> None:
        self._deferrals: deque[Deferral] = deque()
        self._status = "no response"

    def add(self, deferral: Deferral) -> None:
        self._deferrals.append(deferral)

    def watch(self, start_response: StartResponse) -> StartResponse:
        """Return *start_response* such that the status it is given last is known."""

        def watched(status: str, headers: list[tuple[str, str]], *exc_info: t.Any) -> t.Any:
            self._status = status
            return start_response(status, headers, *exc_info)

        return t.cast("StartResponse", watched)

    def finish(self) -> None:
        """Run the jobs, and those that they put off in turn; or drop them when the response was a 5xx."""
        while self._deferrals:
            deferral = self._deferrals.popleft()
            if self._status[0] not in "5n":
                deferral.run()
                continue
            tell(
                deferral.logger,
                "job_dropped",
                "job %s of event %s dropped: it was to run after the response, which was %s",
                deferral.job,
                deferral.event.name,
                self._status,
                **deferral.extras,
            )


class Closing(ClosingIterator):
    """A response body that finishes the pending jobs once it is closed, also when closing it fails."""

    def __init__(self, body: Iterable[bytes], pending: Pending) -> None:
        super().__init__(body)
        self._pending = pending

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._pending.finish()


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
        pending = environ[PENDING] = Pending()
        try:
            body = self._wsgi_app(environ, pending.watch(start_response))
        except BaseException:
            pending.finish()
            raise
        closing = Closing(body, pending)
        if not self._app.testing:
            return closing
        try:
            return list(closing)
        finally:
            closing.close()
