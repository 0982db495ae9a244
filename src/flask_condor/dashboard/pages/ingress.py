"""The screen Ingress: who may send events over HTTP, what came, what was refused and why, and how to send one."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator

from flask import current_app
from flask import request

from ...history import reading
from ...ingress.mounting import is_ours
from ...ingress.sending import DOOR
from ...ingress.sending import matches
from ...ingress.tokens import Token
from ...ingress.tokens import all_tokens
from ..export import MOST
from ..export import exported
from ..frame import shown
from ..here import log
from ..here import manager
from ..here import now
from ..here import redaction
from ..links import changed
from ..query import Period
from ..query import choice
from ..query import cursor
from ..query import cursor_of
from ..query import period
from ..query import wants
from ..reading.received import Place
from ..reading.received import Received
from ..reading.received import Refused
from ..reading.received import counts_of
from ..reading.received import received
from ..reading.received import refused
from ..routes import Routes
from ..samples import as_cloudevent
from ..samples import as_curl
from ..shapes import iso
from ..trial import Schema
from ..trial import example_of

if t.TYPE_CHECKING:
    from flask import Response
    from sqlalchemy.engine import Connection

routes = Routes()
ROWS = 50
MOST_TOKENS = 500
IN_A_CHUNK = 1000
TABS = {"received": "Received", "refused": "Refused", "tokens": "Tokens", "send": "Send one"}
UNKNOWN = 401
OF_RECEIVED = ("event_id", "event", "form", "sender", "address", "at", "repeats")
OF_REFUSED = ("status", "rule", "count", "last_at", "sample")
OF_TOKENS = ("name", "state", "events", "created", "expires", "last_used", "revoked")


@routes.page("/ingress")
def ingress() -> Response:
    """Show what came over HTTP, or who may send it."""
    tab, time = choice("tab", tuple(TABS)) or "received", period()
    place = t.cast("Place | None", cursor(float, str))
    with reading(log()) as connection:
        if wants("csv") or wants("json"):
            return export(connection, tab, time)
        rejected, counts = refused(connection, time.since, time.until), counts_of(connection, time.since, time.until)
        found = received(connection, time.since, time.until, ROWS + 1, place) if tab == "received" else []
        tokens = tokens_of(connection)
    rows, states = found[:ROWS], [one.state(now()) for one in tokens]
    return shown(
        f"condor/ingress_{tab}.html",
        title="Ingress",
        tab=tab,
        tabs=[(changed(tab=key), label, key == tab) for key, label in TABS.items()],
        door=door_here(),
        counts=counts,
        live=states.count("live"),
        **of_refused(rejected),
        tokens=list(zip(tokens, states, strict=True))[:MOST_TOKENS],
        rows=rows,
        next_url=changed(cursor=cursor_of(rows[-1].place)) if len(found) > ROWS else None,
        sample=sample() if tab == "send" else None,
    )


def of_refused(found: list[Refused]) -> dict[str, t.Any]:
    """Return what the page shows of what was refused."""
    hide = redaction()
    return {
        "rejected": [(one, hide.of(one.sample)) for one in found],
        "refusals": sum(one.count for one in found),
        "unknown": sum(one.count for one in found if one.status == UNKNOWN),
    }


def door_here() -> dict[str, t.Any]:
    """Return whether events are taken, where, and whose."""
    config, door = manager().config, current_app.extensions.get(DOOR)
    rules = [rule for rule in current_app.url_map.iter_rules() if is_ours(rule) and "POST" in (rule.methods or ())]
    return {
        "is_there": door is not None and bool(rules),
        "is_given_away": door is not None and not rules,
        "is_open": door is not None and door.is_open,
        "url": trigger(),
        "secrets": len(config.trigger_secrets),
        "events": config.trigger_events,
        "is_strict": config.trigger_strict,
        "limit": config.trigger_limit,
    }


def trigger() -> str:
    return request.url_root.rstrip("/") + manager().config.trigger_url


def tokens_of(connection: Connection) -> list[Token]:
    """Return the tokens, live ones first, the newest first of each kind."""
    at = now()
    return sorted(all_tokens(connection), key=lambda one: (one.state(at) != "live", -one.created_at, one.id))


def sample() -> dict[str, t.Any]:
    """Return the commands that send an event of a name that may be sent."""
    registry, patterns = manager().registry, manager().config.trigger_events
    registered = sorted(str.__str__(name) for name in registry.jobs)
    names = [name for name in registered if patterns is None or matches(name, patterns)]
    name = choice("event", names) or (names[0] if names else "user.registered")
    payload = redaction().of(example_of(Schema.of(registry, name)) if name in registry.jobs else {})
    return {
        "name": name,
        "names": names,
        "simple": as_curl(trigger(), name, payload),
        "cloudevent": as_cloudevent(trigger(), name, payload),
    }


def export(connection: Connection, tab: str, time: Period) -> Response:
    """Return the list of a tab as a file."""
    if tab == "refused":
        found = refused(connection, time.since, time.until)
        return exported(map(cells_of_refused, found), OF_REFUSED, "refused")
    if tab == "tokens":
        return exported(map(cells_of_token, tokens_of(connection)), OF_TOKENS, "tokens")
    return exported(map(cells_of_received, all_received(connection, time)), OF_RECEIVED, "received")


def all_received(connection: Connection, time: Period) -> Iterator[Received]:
    place: Place | None = None
    for _ in range(MOST // IN_A_CHUNK + 1):
        found = received(connection, time.since, time.until, IN_A_CHUNK, place)
        yield from found
        if len(found) < IN_A_CHUNK:
            return
        place = found[-1].place


def cells_of_received(one: Received) -> list[object]:
    return [one.event_id, one.name, one.form, one.sender, one.address, iso(one.at), one.repeats]


def cells_of_refused(one: Refused) -> list[object]:
    return [one.status, one.rule, one.count, iso(one.last_at), redaction().of(one.sample)]


def cells_of_token(one: Token) -> list[object]:
    times = [iso(at) if at else None for at in (one.created_at, one.expires_at, one.last_used_at, one.revoked_at)]
    return [one.name, one.state(now()), list(one.scopes), *times]
