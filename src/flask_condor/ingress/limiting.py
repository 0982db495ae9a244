"""Limiting: the app's own Flask-Limiter, when it has one, says how often the route may be called."""

from __future__ import annotations

import time
import typing as t
from importlib.util import find_spec

from werkzeug.exceptions import TooManyRequests

from ..errors import ConfigInvalid
from .rejection import Rejected

if t.TYPE_CHECKING:
    from flask import Flask
    from flask_limiter import Limiter

SETTING = "CONDOR_TRIGGER_LIMIT"


def check_limit(app: Flask, limit: str) -> None:
    """Make sure that *limit* is one, and that *app* has what keeps it.

    :raises ConfigInvalid: when it has no Flask-Limiter yet, or that cannot read the limit.
    """
    if find_spec("flask_limiter") is None or not app.extensions.get("limiter"):
        raise ConfigInvalid(SETTING, limit, "an app with Flask-Limiter: Limiter(...).init_app(app) before Condor(app)")
    from limits import parse_many  # comes with Flask-Limiter, which is optional

    try:
        parse_many(limit)
    except ValueError as error:
        raise ConfigInvalid(SETTING, limit, 'a limit such as "100 per minute"') from error


def count_request(app: Flask, limit: str) -> None:
    """Count one request to the route, by what the app's limiter counts by.

    :raises TooManyRequests: when it is one too many.
    """
    with limiter_of(app).limit(limit):
        pass


def limiter_of(app: Flask) -> Limiter:
    limiter: Limiter = next(iter(app.extensions["limiter"]))
    return limiter


def too_often(app: Flask, error: TooManyRequests) -> Rejected:
    """Return the refusal for what a limiter of the app has said, whether by this limit or by its own."""
    seconds = 1
    for limiter in app.extensions.get("limiter", ()):
        if limiter.current_limit is not None and limiter.current_limit.breached:
            seconds = max(1, int(limiter.current_limit.reset_at - time.time()) + 1)
    detail = f"Too many requests ({error.description}): send it again in {seconds} s."
    return Rejected(429, "too-often", detail, {"Retry-After": str(seconds)})
