"""What a process that serves requests does about queued jobs: ``flask run`` runs them, others tell when nobody does."""

from __future__ import annotations

import logging
import os
import time
import typing as t
from collections.abc import Callable
from collections.abc import Iterable
from threading import Lock
from threading import Thread
from threading import Timer

import click
from flask import current_app
from flask import has_request_context
from flask import request_started
from flask.helpers import get_debug_flag
from werkzeug.exceptions import ServiceUnavailable

from .errors import CondorError
from .errors import LogUnavailable
from .line import tell

if t.TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse
    from _typeshed.wsgi import WSGIEnvironment
    from flask import Flask
    from werkzeug.sansio.response import Response

    from .manager import EventsManager

RETRY_AFTER = 5
"""Seconds after which a client may try again."""
PATIENCE = 3.0
"""Seconds that a delivery may wait before a worker is looked for."""
BETWEEN_LOOKS = 60.0
SETTLING = 1.0
"""Seconds that an app is given to be set up before its jobs are run."""

logger = logging.getLogger(__name__)


def attend(manager: EventsManager) -> None:
    """See to it that the queued jobs of an app do not wait unnoticed, once it has some.

    The development server runs them in a thread of its own. Any other looks, soon after its first request and after
    fires, once a minute at most, whether a worker has been seen, and logs a warning when none has and deliveries wait.
    """
    if not is_development_server():
        lookout = Lookout(manager)
        manager.queueing.on_accept = lookout.accepted
        manager.queueing.when_needed(lambda: request_started.connect(lookout.first_request, manager.app, weak=False))
    elif not is_only_watching():
        manager.queueing.when_needed(lambda: start_worker(manager))


def answer_unavailable(error: LogUnavailable) -> Response:
    """Answer a request whose event could not be accepted with 503, and tell the app's log why."""
    tell(current_app.logger, "log_unavailable", "%s The request is answered with 503.", error)
    return ServiceUnavailable(retry_after=RETRY_AFTER).get_response()


def is_development_server() -> bool:
    command = click.get_current_context(silent=True)
    return command is not None and command.info_name == "run"


def is_only_watching() -> bool:
    """Tell whether this is the process of ``flask run`` that waits for changed files, while a child of it serves."""
    reloads = click.get_current_context().params.get("reload")
    reloads = get_debug_flag() if reloads is None else reloads
    return bool(reloads) and os.environ.get("WERKZEUG_RUN_MAIN") != "true"


def when_serving(app: Flask, do: Callable[[], object]) -> None:
    """Call *do* once, as soon as this process serves requests: not for a command, nor where only files are watched."""
    if not is_development_server():
        before_first_request(app, do)
    elif not is_only_watching():
        do()


def before_first_request(app: Flask, do: Callable[[], object]) -> None:
    """Call *do* once, before the first request is given to a route; the others wait for it."""
    inner, lock, waiting = app.wsgi_app, Lock(), [do]

    def wsgi_app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if waiting:
            with lock:
                for first in waiting:
                    first()
                waiting.clear()
        return inner(environ, start_response)

    app.wsgi_app = wsgi_app  # type: ignore[method-assign]  # as Flask's docs add middleware


def start_worker(manager: EventsManager) -> None:
    Thread(target=work, args=(manager,), name="condor-worker", daemon=True).start()


def work(manager: EventsManager) -> None:
    """Run queued jobs until the process ends; a job that hangs keeps its threads, and new ones take over."""
    from .plan import Plan
    from .report import show_log
    from .worker import Worker

    time.sleep(SETTLING)
    show_log()
    try:
        while True:
            worker = Worker(manager, Plan(replaceable=False))
            worker.open()
            worker.run()
    except CondorError as error:
        tell(logger, "worker_failed", "queued jobs are not run until the server is started again: %s", error)


class Lookout:
    """Looks for a worker now and then."""

    def __init__(self, manager: EventsManager) -> None:
        self._manager = manager
        self._next = 0.0

    def first_request(self, app: Flask, **_: t.Any) -> None:
        request_started.disconnect(self.first_request, app)
        self.look()

    def accepted(self) -> None:
        """Look, when an event was queued in a request."""
        if time.monotonic() >= self._next and has_request_context():
            self.look()

    def look(self) -> None:
        """Look in a few seconds, in a thread; not within a minute of the last time, nor in tests."""
        now = time.monotonic()
        if now < self._next or self._manager.app.testing:
            return
        self._next = now + BETWEEN_LOOKS
        timer = Timer(PATIENCE, self._tell)
        timer.daemon = True
        timer.start()

    def _tell(self) -> None:
        from .presence import waiting_unseen

        try:
            if not self._manager.log.is_there:
                return
            with self._manager.log.read() as connection:
                waiting = waiting_unseen(connection)
        except CondorError as error:
            tell(logger, "look_failed", "it is not known whether a worker runs: %s", error)
            return
        if waiting:
            text = "%d waiting, no worker seen: run `flask events worker`"
            tell(logger, "no_worker_seen", text, waiting, waiting=waiting)
