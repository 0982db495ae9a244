"""What is here, in a request to the dashboard: the app's manager and log, who asks, and what they may do."""

from __future__ import annotations

import time
import typing as t

from flask import current_app
from flask import g
from flask import request

from .. import travel
from ..redaction import Redaction
from ..redaction import redaction_by

if t.TYPE_CHECKING:
    from ..log import Log
    from ..manager import EventsManager
    from .access import Access
    from .routes import Permission

DASHBOARD = "condor-dashboard"
"""The key in ``app.extensions`` of the app's :class:`~.access.Access`."""


def manager() -> EventsManager:
    """Return the app's events manager."""
    return t.cast("EventsManager", current_app.extensions["condor"])


def log() -> Log:
    """Return the app's event log."""
    return manager().log


def access() -> Access:
    """Return the rules of the app's dashboard."""
    return t.cast("Access", current_app.extensions[DASHBOARD])


def actor() -> str:
    """Return who makes the request, for the audit."""
    return t.cast(str, g.condor_actor)


def may(action: Permission) -> bool:
    """Tell whether whoever makes the request may do *action*."""
    return access().allows(action)


def redaction() -> Redaction:
    """Return what hides secrets in payloads and headers."""
    return redaction_by(manager().config.redact_keys)


def now() -> float:
    """Return the time by which deliveries are due, in seconds since 1970 UTC."""
    return time.time() + travel.ahead


def base() -> str:
    """Return the path of the dashboard, as a browser asks for it."""
    return request.script_root + manager().config.dashboard_url
