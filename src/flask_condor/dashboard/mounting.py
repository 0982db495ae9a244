"""Mounts the dashboard, where somebody may see it."""

from __future__ import annotations

import typing as t

from ..line import tell
from ..serving import when_serving

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Request

    from ..manager import EventsManager

    Authorize = Callable[[str, Request], bool]


OPEN = (
    "the dashboard at %s is open to every user of this machine, as the app is in debug mode:"
    " set CONDOR_DASHBOARD_USERS, or Condor(authorize=...), to use it elsewhere"
)


def mount_dashboard(manager: EventsManager, authorize: Authorize | None) -> None:
    """Add the dashboard to the app, when it has users or an *authorize* callback, or is in debug mode.

    The event log is then kept, as there is nothing to see without. In debug mode alone it is open to requests from
    this very machine only, and says so as soon as the app serves requests; no command keeps a log for it.
    """
    app, users, path = manager.app, manager.config.dashboard_users, manager.config.dashboard_url
    if not users and authorize is None and not app.debug:
        return
    from ..csrf import exempt_from_csrf  # what follows is paid for only by an app that has the dashboard
    from .access import Access
    from .blueprint import make_blueprint
    from .here import DASHBOARD

    app.extensions[DASHBOARD] = access = Access(users, authorize)
    blueprint = make_blueprint(path)
    exempt_from_csrf(blueprint)
    app.register_blueprint(blueprint)
    if access.is_open:
        when_serving(app, lambda: open_here(manager))
    else:
        manager.queueing.turn_on()


def open_here(manager: EventsManager) -> None:
    manager.queueing.turn_on()
    tell(manager.app.logger, "dashboard_open", OPEN, manager.config.dashboard_url)
