"""Mounts the ingress, where somebody may use it."""

from __future__ import annotations

import typing as t
from collections.abc import Callable
from pathlib import Path

from flask import Flask
from werkzeug.routing import Rule

from ..errors import ConfigInvalid
from ..errors import DatabaseUnsupported
from ..errors import LogUnavailable
from ..line import tell
from ..serving import before_first_request
from ..serving import when_serving

if t.TYPE_CHECKING:
    from ..manager import EventsManager

ENDPOINT = "condor_ingress"
"""That of the route, or the name of its blueprint."""

OPEN = (
    "POST %s is open to whoever is at this machine, as the app is in debug mode and has no secret and no token."
    " To let others in: `flask events token create NAME`, or CONDOR_TRIGGER_SECRETS."
)
UNKNOWN = "%s Until that is right, nobody's token can be looked up: POST %s answers with 503 to those who send one."


def mount_ingress(manager: EventsManager) -> None:
    """Add the route to the app, when a secret or token is configured, or when it is in debug mode.

    :raises ConfigInvalid: for a secret that is none, or when the app has another route there.
    :raises ExtraMissing: for secrets without the package that reads signatures.
    """
    app, url = manager.app, manager.config.trigger_url
    found = bool(manager.config.trigger_secrets) or look_for_tokens(manager)
    if isinstance(found, LogUnavailable):
        unknown = None if app.debug else False
        mount_beside(manager, lambda: tell(app.logger, "tokens_unknown", UNKNOWN, found, url), is_open=unknown)
    elif found:
        refuse_taken(manager)
        manager.queueing.turn_on()
        open_door(manager, is_open=False)
        before_first_request(app, lambda: tell_shadowed(app, url))
    elif app.debug:
        mount_beside(manager, lambda: tell(app.logger, "ingress_open", OPEN, url), is_open=True)


def mount_beside(manager: EventsManager, announce: Callable[[], object], *, is_open: bool | None) -> None:
    """Add the route where nobody has asked for it by a setting: a route that the app has there goes first.

    :param announce: called once the app serves requests.
    """
    app = manager.app
    before_first_request(app, lambda: give_way(app, manager.config.trigger_url))
    if rule_at(app, manager.config.trigger_url):
        return
    open_door(manager, is_open=is_open)

    def serve() -> None:
        manager.queueing.turn_on()
        announce()

    when_serving(app, serve)


def open_door(manager: EventsManager, *, is_open: bool | None) -> None:
    from .route import add_route  # with all that reads a request, which most apps never get
    from .sending import DOOR
    from .sending import Door

    manager.app.extensions[DOOR] = Door(manager, is_open=is_open, look=lambda: look_again(manager))
    add_route(manager)


def look_again(manager: EventsManager) -> bool | None:
    """Tell whether an app in debug mode has no token, and so is open to this machine; None while the log is away."""
    found = look_for_tokens(manager)
    if isinstance(found, LogUnavailable):
        return None
    if not found:
        tell(manager.app.logger, "ingress_open", OPEN, manager.config.trigger_url)
    return not found


def look_for_tokens(manager: EventsManager) -> bool | LogUnavailable:
    """Tell whether the log has a live token, or why that cannot be told just now."""
    if not may_have_log(manager):
        return False
    from ..log_state import peek  # imports SQLAlchemy, which an app that keeps nothing shall not pay
    from .tokens import has_live

    try:
        with peek(manager.log) as connection:
            return connection is not None and has_live(connection)
    except DatabaseUnsupported:
        return False
    except LogUnavailable as error:
        return error


def may_have_log(manager: EventsManager) -> bool:
    """Tell, without importing SQLAlchemy, whether a log may be where this app would keep it."""
    is_chosen = manager.config.database_url is not None or "sqlalchemy" in manager.app.extensions
    return is_chosen or Path(manager.app.instance_path, "condor.db").exists()


def refuse_taken(manager: EventsManager) -> None:
    url = manager.config.trigger_url
    if rule := rule_at(manager.app, url):
        raise ConfigInvalid(
            "CONDOR_TRIGGER_URL", url, f"a path of its own: the endpoint {rule.endpoint!r} has this one"
        )


def tell_shadowed(app: Flask, url: str) -> None:
    """Tell of a route that the app was given after the ingress, and that nobody reaches."""
    if rule := rule_at(app, url):
        said = "POST %s of endpoint %s is never called: the ingress is there. Set CONDOR_TRIGGER_URL to another path."
        tell(app.logger, "route_shadowed", said, url, rule.endpoint)


def give_way(app: Flask, url: str) -> None:
    """Let a route of the app's own be called in place of the ingress, also one that it was given later."""
    if rule := rule_at(app, url):
        for ours in app.url_map.iter_rules():
            ours.methods = set() if is_ours(ours) else ours.methods
        said = "%s is not mounted: the app has %s there. To have both, set CONDOR_TRIGGER_URL to another path."
        tell(app.logger, "ingress_left_out", said, url, rule.endpoint)


def rule_at(app: Flask, url: str) -> Rule | None:
    """Return the rule by which *app* itself answers a POST to *url*, if it has one."""
    rules = (rule for rule in app.url_map.iter_rules() if rule.rule == url and not is_ours(rule))
    return next((rule for rule in rules if rule.methods is None or "POST" in rule.methods), None)


def is_ours(rule: Rule) -> bool:
    return str(rule.endpoint).partition(".")[0] == ENDPOINT
