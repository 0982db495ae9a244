"""Same site: only a form of the dashboard itself changes anything, told by where it was sent from and by its token."""

from __future__ import annotations

import hmac
import re
import secrets
import typing as t
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from flask import g
from flask import request
from werkzeug.exceptions import Forbidden

from .here import base

if t.TYPE_CHECKING:
    from werkzeug.sansio.response import Response

COOKIE = "condor_form"
FIELD = "condor_form"
TOKEN = re.compile(r"[\w-]{43}", re.ASCII)
STAND_IN = secrets.token_urlsafe(32)
"""Known to nobody, as no page is sent with it."""


def refuse_foreign() -> None:
    """Make sure that an unsafe request comes from a page of this very site, and carries its form's token.

    :raises Forbidden: for any other.
    """
    if not is_from_here():
        raise Forbidden("This was not sent from a page of this dashboard. Open the page here, and press its button.")
    sent, kept = request.form.get(FIELD, ""), request.cookies.get(COOKIE, "")
    if not TOKEN.fullmatch(kept) or not hmac.compare_digest(sent.encode(errors="replace"), kept.encode()):
        raise Forbidden("The form was not of this browser's session, or too old. Load its page anew, and try again.")


def is_from_here() -> bool:
    """Tell whether the request's own headers, which no page of another site can set, say so."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in ("same-origin", "none")
    try:
        origin = urlsplit(request.headers.get("Origin", ""))
    except ValueError:
        return False
    standard = {"http": ":80", "https": ":443"}.get(origin.scheme)
    return standard is not None and origin.netloc.lower().removesuffix(standard) == request.host.lower()


def form_token() -> str:
    """Return the token for the forms of a page; it is that of the browser's cookie, made when there is none."""
    if "condor_form" not in g:
        kept = request.cookies.get(COOKIE, "")
        g.condor_form = kept if TOKEN.fullmatch(kept) else secrets.token_urlsafe(32)
    return t.cast(str, g.condor_form)


@contextmanager
def stand_in_for_token() -> Iterator[None]:
    """Make a page in whose forms another text stands for the token, for :func:`with_token` to replace."""
    g.condor_form = STAND_IN
    try:
        yield
    finally:
        del g.condor_form


def with_token(body: bytes) -> bytes:
    """Return what was so made, with the token of whoever makes this request."""
    return body.replace(STAND_IN.encode(), form_token().encode()) if STAND_IN.encode() in body else body


def keep_token(response: Response) -> None:
    """Give the browser the token's cookie, when the page made one.

    It comes along with a link from elsewhere ("Lax"), which else had a page make another, that no open page knows.
    """
    token = g.get("condor_form")
    if token is not None and token != request.cookies.get(COOKIE):
        response.set_cookie(COOKIE, token, path=base(), secure=request.is_secure, httponly=True, samesite="Lax")
