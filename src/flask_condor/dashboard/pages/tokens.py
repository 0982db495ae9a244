"""The tokens of the screen Ingress: one is made and shown this once, or all of a name are revoked."""

from __future__ import annotations

import typing as t

from flask import request

from ...errors import OperationRefused
from ...ingress import tokens
from ..frame import back
from ..frame import shown
from ..here import actor
from ..here import log
from ..routes import Routes
from .ingress import door_here

if t.TYPE_CHECKING:
    from flask import Response
    from werkzeug.sansio.response import Response as AnyResponse

routes = Routes()
DAY = 86_400.0
MOST_DAYS = 3650


@routes.action("/ingress/tokens/create", needs="tokens")
def create() -> Response:
    """Make a token, and show it in the answer, which no cache keeps; nothing shows it again."""
    name, scopes, seconds = request.form.get("name", "").strip(), scopes_here(), seconds_here()
    with log().begin("no token was made") as connection:
        made = tokens.create(connection, name, scopes or tokens.ALL, expires_in=seconds, actor=actor())
    return shown("condor/ingress_token.html", title="Token", name=name, made=made, door=door_here())


def scopes_here() -> list[str]:
    """Return the patterns that were typed, with commas or spaces between them."""
    return request.form.get("events", "").replace(",", " ").split()


def seconds_here() -> float | None:
    """Return for how long it is to be valid; None for ever.

    :raises OperationRefused: for what is no number of days.
    """
    given = request.form.get("days", "").strip()
    if not given:
        return None
    if not (given.isascii() and given.isdigit()) or not 1 <= int(given[:9]) <= MOST_DAYS:
        raise OperationRefused(f"{given[:40]!r} is no number of days from 1 to {MOST_DAYS:,}.")
    return int(given) * DAY


@routes.action("/ingress/tokens/revoke", needs="tokens")
def revoke() -> AnyResponse:
    """End all tokens of one name at once."""
    name = request.form.get("name", "")
    with log().change("no token was revoked") as connection:
        count = tokens.revoke(connection, name, actor=actor())
    return back(message=f"Revoked {count} {'token' if count == 1 else 'tokens'} named {name}.")
