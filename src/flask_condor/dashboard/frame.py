"""The frame of a page: its templates, what they can call, how it is shown, and how an action leads back to it."""

from __future__ import annotations

import typing as t
from functools import cache

from flask import Response
from flask import request
from jinja2 import Environment
from jinja2 import PackageLoader
from jinja2 import StrictUndefined

from . import shapes
from .assets import asset
from .here import access
from .here import actor
from .here import base
from .here import may
from .here import now
from .links import BACK
from .links import carried
from .links import changed
from .links import is_ours
from .links import link
from .links import this_page
from .links import this_path
from .links import without_period
from .message import keep_message
from .message import message
from .polling import is_poll
from .query import PERIODS
from .query import QueryWrong
from .query import period
from .query import poll_seconds
from .same_site import form_token
from .suggestions import suggestions

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from werkzeug.sansio.response import Response as AnyResponse

NAVIGATION = (
    ("/", "Overview", "o"),
    ("/events", "Events", "e"),
    ("/runs", "Runs", "r"),
    ("/failures", "Failures", "f"),
    ("/queue", "Queue", "q"),
    ("/catalogue", "Catalogue", "c"),
    ("/operations", "Operations", "b"),
    ("/ingress", "Ingress", "i"),
    ("/system", "System", "s"),
)
"""What the navigation leads to: the path, what it is called, and the key that follows a ``g``."""
BELOW = {"/chains": "/events"}
"""Pages with a path of their own that are of another's screen."""


@cache
def environment() -> Environment:
    """Return our templates, apart from the app's, whose settings of Jinja are not ours to bear."""
    made = Environment(
        loader=PackageLoader("flask_condor.dashboard"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    made.globals |= {
        "asset": asset,
        "carry": carried,
        "base": base,
        "changed": changed,
        "form_token": form_token,
        "here": this_page,
        "link": link,
        "may": may,
        "now": now,
        "navigation": NAVIGATION,
        "this_path": this_path,
        "without_period": without_period,
        "back_field": BACK,
    }
    made.filters |= shapes.FILTERS
    return made


def shown(template: str, *, title: str, status: int = 200, **context: t.Any) -> Response:
    """Return a page: *template*, which extends ``condor/frame.html``, in the frame.

    :param title: of the page. :param context: what the template names.
    """
    text = environment().get_template(template).render(title=title, **frame_context(status), **context)
    return Response(text.encode("utf-8", "backslashreplace"), status, content_type="text/html; charset=utf-8")


def frame_context(status: int) -> dict[str, t.Any]:
    """Return what the frame itself shows; a period or interval that means nothing has a page of its own."""
    try:
        shown_period, seconds = period(), poll_seconds()
    except QueryWrong:
        shown_period, seconds = None, 5
    return {
        "period": shown_period,
        "periods": PERIODS,
        "poll": seconds,
        "message": message(),
        "actor": actor(),
        "is_open": access().is_open,
        "screen": screen_here(),
        "suggestions": [] if is_poll() else suggestions(has_log=status < 500),
    }


def screen_here() -> str:
    """Return the path of the screen that this page is of, as the navigation has it."""
    first = request.path.removeprefix(base().removeprefix(request.script_root)).split("/")[1:2]
    path = f"/{first[0] if first else ''}"
    return BELOW.get(path, path)


def shown_error(status: int, heading: str, told: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return a page that says what is wrong."""
    is_page = request.method == "GET"
    steps = {"can_clear": is_page and status == 400 and bool(request.args), "can_retry": is_page and status == 503}
    response = shown("condor/error.html", title=heading, status=status, told=told, **steps)
    response.headers.update(headers or {})
    return response


def back(*, message: str, to: str | None = None) -> AnyResponse:
    """Return to the page on which the form was, which then shows *message* once.

    :param to: another page, as :func:`~.links.link` gives it.
    """
    was = request.form.get(BACK, "")
    response = Response(status=303, headers={"Location": to or (was if is_ours(was) else link("/"))})
    keep_message(response, message)
    return response
