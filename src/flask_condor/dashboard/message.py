"""The message about what was just done: in a cookie that this app has signed, shown once on the next page."""

from __future__ import annotations

import secrets
import typing as t

from flask import current_app
from flask import g
from flask import request
from itsdangerous import BadData
from itsdangerous import URLSafeTimedSerializer

from .here import base
from .here import manager

if t.TYPE_CHECKING:
    from werkzeug.sansio.response import Response

COOKIE = "condor_done"
FRESH = 60
"""Seconds for which it may be shown."""
LONGEST = 500
OF_THIS_PROCESS = secrets.token_hex()


def signer() -> URLSafeTimedSerializer:
    """Return what signs, by what only this app's processes know; where that is nothing, only this process."""
    known = [str(current_app.secret_key or ""), *manager().config.dashboard_users.values()]
    return URLSafeTimedSerializer("|".join(known) if any(known) else OF_THIS_PROCESS, salt="condor-message")


def keep_message(response: Response, text: str) -> None:
    """Let the next page show *text*."""
    short = text.encode(errors="replace").decode()[:LONGEST]
    signed = signer().dumps(short)
    response.set_cookie(
        COOKIE,
        signed if isinstance(signed, str) else signed.decode(),
        max_age=FRESH,
        path=base(),
        secure=request.is_secure,
        httponly=True,
        samesite="Strict",
    )


def message() -> str | None:
    """Return the message that is to be shown; one that this app has not signed just now is none."""
    if "condor_message" not in g:
        try:
            g.condor_message = str(signer().loads(request.cookies[COOKIE], max_age=FRESH))
        except (KeyError, BadData):
            g.condor_message = None
    return t.cast("str | None", g.condor_message)


def forget_message(response: Response) -> None:
    """Take the cookie away, when the page has shown what it says."""
    if g.get("condor_message") is not None:
        response.delete_cookie(COOKIE, path=base(), secure=request.is_secure, httponly=True, samesite="Strict")
