"""The blueprint: the routes of all screens below one path, and what each request must pass before its function."""

from __future__ import annotations

import logging
import typing as t
from collections.abc import Callable
from functools import partial
from functools import wraps
from importlib import import_module

from flask import Blueprint
from flask import Response
from flask import g
from flask import request
from flask import send_from_directory
from werkzeug.exceptions import Forbidden
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import NotFound

from ..errors import CondorError
from ..errors import LogUnavailable
from ..line import tell
from .assets import FOLDER
from .frame import shown_error
from .freshness import if_changed
from .headers import protect
from .here import access
from .here import may
from .message import forget_message
from .message import message
from .polling import is_poll
from .polling import polls
from .query import LARGEST
from .query import QueryWrong
from .same_site import keep_token
from .same_site import refuse_foreign

if t.TYPE_CHECKING:
    from werkzeug.sansio.response import Response as AnyResponse

    from .routes import Route
    from .routes import Routes

    P = t.ParamSpec("P")
    R = t.TypeVar("R")

SCREENS = (
    *("overview", "events", "event", "chain", "runs", "failures", "queues", "catalogue", "operations", "ingress"),
    *("tokens", "system"),
)
"""The modules in ``pages`` that have routes."""
NAME = "condor_dashboard"
"""Not "condor" alone, which the app's own blueprint may be called."""
LARGEST_FORM = 4 * 1024 * 1024
"""Bytes."""
STATIC = f"{NAME}.static_file"

logger = logging.getLogger(__name__)


def make_blueprint(path: str) -> Blueprint:
    """Return the dashboard, to be registered on an app.

    :param path: below which it is, such as "/condor".
    """
    made = Blueprint(NAME, __name__, url_prefix=path)
    for screen in SCREENS:
        add_screen(made, screen)
    made.add_url_rule("/static/<path:name>", "static_file", answered(static_file))
    made.add_url_rule("/<path:rest>", "nothing", answered(nothing))
    made.before_request(answered(admit))
    made.after_request(finish)
    made.register_error_handler(HTTPException, answer_http)
    return made


def add_screen(made: Blueprint, screen: str) -> None:
    """Add the routes of a screen."""
    routes: Routes = import_module(f".pages.{screen}", __package__).routes
    for route in routes:
        add_route(made, screen, route)


def add_route(made: Blueprint, screen: str, route: Route) -> None:
    """Add one route."""
    endpoint = f"{screen}_{route.view.__name__}"
    made.add_url_rule(route.rule, endpoint, answered(checked(route)), methods=[route.method], strict_slashes=False)


def answered(function: Callable[P, R]) -> Callable[P, R | AnyResponse]:
    """Return *function*, of which what it refuses is answered here: the app's own error handlers are not for us.

    One for 401, say, would lead to a form of the app, and nobody could give a password any more.
    """

    @wraps(function)
    def answering(*args: P.args, **values: P.kwargs) -> R | AnyResponse:
        try:
            return function(*args, **values)
        except HTTPException as error:
            return answer_http(error)
        except CondorError as error:
            return answer_refusal(error)

    return answering


def admit() -> None:
    """Let in who may see the dashboard, and what was sent from one of its own forms."""
    access().identify()
    refuse_unless_allowed("view")
    g.condor_admitted = True
    for value in (request.view_args or {}).values():
        if (isinstance(value, int) and value > LARGEST) or (isinstance(value, str) and "\0" in value):
            raise NotFound("There is no such page.")
    if request.method not in ("GET", "HEAD", "OPTIONS"):
        request.max_content_length = request.max_form_memory_size = LARGEST_FORM
        refuse_foreign()


def refuse_unless_allowed(action: t.Any) -> None:
    if not may(action):
        hint = "authorize(%r, request) of Condor(authorize=...) was not true: %s %s is answered with 403"
        tell(logger, "dashboard_refused", hint, action, request.method, request.path)
        raise Forbidden("You are not allowed to see this." if action == "view" else f"You are not allowed to {action}.")


def checked(route: Route) -> Callable[..., AnyResponse]:
    """Return the function of *route* as it is called once everything else was checked."""

    @wraps(route.view)
    def view(**values: t.Any) -> AnyResponse:
        refuse_unless_allowed(route.needs)
        make = partial(route.view, **values)
        if route.method == "POST" or "format" in request.args or message() is not None:
            return t.cast("AnyResponse", make())
        return polls().answer(make) if is_poll() else if_changed(make)

    return view


def static_file(name: str) -> AnyResponse:
    """Send a script or style."""
    return send_from_directory(FOLDER, name, max_age=31_536_000)


def nothing(rest: str) -> AnyResponse:
    """Say that there is no such page."""
    raise NotFound("There is no such page.")


def finish(response: Response) -> Response:
    """Put the headers and cookies on every response."""
    protect(response, is_static=request.endpoint == STATIC)
    if response.status_code != 304 and request.endpoint != STATIC:
        keep_token(response)
        forget_message(response)
    return response


def answer_http(error: HTTPException) -> AnyResponse:
    """Show what this blueprint refuses as a page; to whom nothing may be shown, as bare text."""
    if error.response is not None:
        return error.response
    status, told = error.code or 500, error.description or error.name
    if "condor_admitted" in g:
        return shown_error(status, error.name, told, dict(error.get_headers()[1:]))
    response = Response(f"{status} {error.name}\n", status, content_type="text/plain; charset=utf-8")
    response.headers.extend(error.get_headers()[1:])
    return response


def answer_refusal(error: CondorError) -> AnyResponse:
    """Show what is wrong with a request, or that the event log is away, as a page."""
    if isinstance(error, LogUnavailable):
        tell(logger, "log_unavailable", "%s The dashboard answers with 503.", error)
        told = str(error)
        return shown_error(503, "The event log is away", told[:1].upper() + told[1:], {"Retry-After": "5"})
    status = 400 if isinstance(error, QueryWrong) or request.method == "GET" else 409
    return shown_error(status, "That cannot be shown" if status == 400 else "That was refused", str(error))
