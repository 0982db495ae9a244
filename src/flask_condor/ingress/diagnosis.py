"""The diagnosis of the ingress: who may send which events, and what of that means nothing or soon will end."""

from __future__ import annotations

import time
import typing as t
from collections.abc import Iterable
from collections.abc import Iterator

from ..errors import LogUnavailable
from ..remarks import Remark
from .mounting import may_have_log
from .sending import DOOR
from .sending import matches

if t.TYPE_CHECKING:
    from ..manager import EventsManager
    from .tokens import Token

DAY = 24 * 3600.0
SOON = 7 * DAY
"""Seconds before a token expires from which that is told."""


def look_at_ingress(manager: EventsManager) -> Iterator[Remark]:
    """Tell whether events are taken over HTTP, from whom and of which names."""
    config = manager.config
    if DOOR not in manager.app.extensions:
        said = "not mounted: there is no CONDOR_TRIGGER_SECRETS, and no token (`flask events token create NAME`)"
        yield Remark("ok", "ingress", f"{said}; in debug mode it is there, for this machine")
    elif manager.app.extensions[DOOR].is_open:
        yield Remark("ok", "ingress", f"POST {config.trigger_url} is open to this machine, as this is debug mode")
    else:
        count = len(config.trigger_secrets)
        ways = f"signatures by {count} secret{'s' if count > 1 else ''} and tokens" if count else "tokens"
        yield Remark("ok", "ingress", f"POST {config.trigger_url} takes {ways}")
    yield from look_at_allowed(manager)


def look_at_allowed(manager: EventsManager) -> Iterator[Remark]:
    """Tell of names that may be sent and that nobody listens to."""
    config = manager.config
    fate = "refused" if config.trigger_strict else "stored, and runs nothing"
    for one in config.trigger_events or ():
        if not any(matches(name, (one,)) for name in manager.registry.jobs):
            said = f"CONDOR_TRIGGER_EVENTS has {one!r}, and no registered event is named so: what comes is {fate}."
            yield Remark("warning", "ingress", f"{said} Register one, or correct the setting.")


def look_at_tokens(manager: EventsManager) -> Iterator[Remark]:
    """Tell of tokens that expire soon and have no successor, and of those that may send nothing that is known."""
    if not may_have_log(manager):
        return
    from ..log_state import peek  # imports SQLAlchemy, which an app that keeps nothing shall not pay
    from .tokens import all_tokens

    try:
        with peek(manager.log) as connection:
            found = [] if connection is None else all_tokens(connection)
    except LogUnavailable:
        return  # which the remarks on the database tell
    now = time.time()
    last = {one.name: one for one in found if one.state(now) == "live"}
    for token in last.values():
        yield from look_at_token(token, now, manager.registry.jobs)
    if last:
        yield Remark("ok", "tokens", f"{len(last)} live: `flask events token list` shows them")


def look_at_token(token: Token, now: float, names: Iterable[str]) -> Iterator[Remark]:
    left = None if token.expires_at is None else token.expires_at - now
    if left is not None and left < SOON:
        shown = f"{left / DAY:.0f} days" if left >= 2 * DAY else f"{left / 3600:.0f} hours"
        said = f"{token.name!r} expires in {shown}: `flask events token create {token.name} --rotate` makes the next."
        yield Remark("warning", "tokens", said)
    if not any(matches(name, token.scopes) for name in names):
        told = ", ".join(map(repr, token.scopes))
        yield Remark("warning", "tokens", f"{token.name!r} may send {told}, and no registered event is named so.")


STEPS = [look_at_ingress, look_at_tokens]
