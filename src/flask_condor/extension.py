"""The Flask extension: the one place that puts the parts together for an app."""

from __future__ import annotations

import typing as t
from collections.abc import Callable

from flask import Flask
from flask import request_tearing_down

from .after_response import AfterResponse
from .cli import events
from .config import Config
from .current import forget_chain
from .dashboard.mounting import mount_dashboard
from .errors import AlreadyInitialised
from .errors import LogUnavailable
from .ingress.mounting import mount_ingress
from .manager import EventsManager
from .serving import answer_unavailable
from .serving import attend

if t.TYPE_CHECKING:
    from sqlalchemy.orm import scoped_session

    from .dashboard.mounting import Authorize

    AnyScoped = scoped_session[t.Any]


class Condor:
    """Gives an app its events manager: ``Condor(app, register_events=register_events)``.

    :param app: the app, or None to call :meth:`init_app` later, for as many apps as you like.
    :param register_events: called once for each app, inside an app context of it, to make the registrations.
    :param session: the scoped session whose commits ``after_commit`` jobs wait for; not needed with Flask-SQLAlchemy.
    :param authorize: called as ``authorize(action, request)`` for each request of the dashboard; true lets it through.
        The actions: view, view_payload, retry, replay, cancel, purge, tokens.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        register_events: Callable[[], None] | None = None,
        session: AnyScoped | None = None,
        authorize: Authorize | None = None,
    ) -> None:
        self._register_events = register_events
        self._session = session
        self._authorize = authorize
        if app is not None:
            self.init_app(app)

    def init_app(
        self,
        app: Flask,
        *,
        register_events: Callable[[], None] | None = None,
        session: AnyScoped | None = None,
        authorize: Authorize | None = None,
    ) -> None:
        """Read the ``CONDOR_*`` settings of *app* and put its :class:`EventsManager` in ``app.extensions["condor"]``.

        :raises AlreadyInitialised: when the app has one. :raises ConfigInvalid: for a setting that means nothing.
        :raises SubscriberInvalid: for an entry of ``CONDOR_SUBSCRIBERS``, which is registered after *register_events*.
        :raises EventNotRegistered: for a schedule of an event that neither registers.
        :raises SessionInvalid: for a *session* that is no scoped session. :raises DatabaseUnsupported: when the event
            log is needed, and is to be kept in a database that is neither SQLite nor PostgreSQL.
        """
        if "condor" in app.extensions:
            raise AlreadyInitialised(app.name)
        manager = EventsManager(app, Config.read(app.config), self._session if session is None else session)
        app.extensions["condor"] = manager
        app.cli.add_command(events)
        if LogUnavailable not in app.error_handler_spec[None][None]:
            app.register_error_handler(LogUnavailable, answer_unavailable)
        request_tearing_down.connect(forget_chain, app)
        app.wsgi_app = AfterResponse(app, app.wsgi_app, lambda: manager.registry.defers)  # type: ignore[method-assign]  # as Flask's docs add middleware
        register = register_events or self._register_events
        if register is not None:
            with app.app_context():
                register()
        if manager.config.subscribers != {}:
            from .subscribers import subscribe  # which an app without them shall not pay

            subscribe(manager)
        manager.check_schedules()
        mount_ingress(manager)
        mount_dashboard(manager, authorize or self._authorize)
        if manager.queueing.is_needed:
            manager.log.check()
        attend(manager)
