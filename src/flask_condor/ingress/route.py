"""The route: takes a request through who sends, what was sent and its storing; here a refusal becomes an answer."""

from __future__ import annotations

import typing as t
from collections.abc import Sequence
from functools import cached_property

import msgspec
from flask import Blueprint
from flask import Response
from flask import request
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import TooManyRequests

from ..csrf import exempt_from_csrf
from ..errors import CondorError
from ..errors import DelayInvalid
from ..errors import EventInvalid
from ..errors import EventNameEmpty
from ..errors import JobNotFindable
from ..errors import LogUnavailable
from ..errors import PayloadNotSerializable
from ..faults import PayloadInvalid
from ..redaction import redaction_by
from ..serving import RETRY_AFTER
from .bodies import read_body
from .bodies import read_incoming
from .limiting import check_limit
from .limiting import count_request
from .limiting import too_often
from .problem import problem
from .rejection import Rejected
from .rejection import Seen
from .sending import identify

if t.TYPE_CHECKING:
    from ..manager import EventsManager
    from .accepting import Accepted
    from .backlog import Backlog
    from .incoming import Form
    from .receipts import Hides
    from .rejections import Rejections
    from .sending import Sender

    Refusal = CondorError | HTTPException

BLUEPRINT = "condor_ingress"
ORPHAN = "Condor-Orphan"
"""The header of an answer that says that an event was stored, and that nothing listens to it."""


def add_route(manager: EventsManager) -> None:
    """Let the app answer POST requests to ``CONDOR_TRIGGER_URL``.

    :raises ConfigInvalid: for a ``CONDOR_TRIGGER_LIMIT`` that cannot be kept.
    """
    limit, url = manager.config.trigger_limit, manager.config.trigger_url
    if limit is not None:
        check_limit(manager.app, limit)
    route = Route(manager)
    blueprint = Blueprint(BLUEPRINT, __name__)
    exempt_from_csrf(blueprint)
    blueprint.register_error_handler(TooManyRequests, route.refuse)
    blueprint.add_url_rule(url, "trigger", route.trigger, methods=["POST"], provide_automatic_options=False)
    manager.app.register_blueprint(blueprint)


class Route:
    """The view of one app."""

    def __init__(self, manager: EventsManager) -> None:
        self._manager = manager
        self._redaction = redaction_by(manager.config.redact_keys)

    @cached_property
    def _backlog(self) -> Backlog:
        from .backlog import Backlog  # imports SQLAlchemy, which an app that no one sends anything shall not pay

        return Backlog(self._manager.log, self._manager.config.trigger_backlog)

    @cached_property
    def _hides(self) -> Hides:
        from .receipts import hiding_of_headers  # likewise

        return hiding_of_headers(self._manager.config)

    @cached_property
    def _rejections(self) -> Rejections:
        from .rejections import Rejections  # likewise

        return Rejections(self._manager.log, self._manager.app.logger, self._redaction)

    def trigger(self) -> Response:
        """Answer a request: what is answered with 2xx is stored."""
        seen = Seen()
        try:
            accepted = self._accept(seen)
            return answer(seen.incoming[0].form if seen.incoming else "cloudevents-batch", accepted)
        except (CondorError, HTTPException) as error:
            return self.refuse(error, seen)

    def _accept(self, seen: Seen) -> list[Accepted]:
        config = self._manager.config
        if config.trigger_limit is not None:
            count_request(self._manager.app, config.trigger_limit)
        body = read_body(request)
        seen.sender = sender = identify(self._manager, request, body, recall=True)
        try:
            return self._accept_from(sender, body, seen)
        except (CondorError, HTTPException):
            if sender.digest is not None:
                self._identify_again(body, seen)
            raise

    def _identify_again(self, body: bytes, seen: Seen) -> None:
        """Let a sender whose token has ended be told that, and nothing else of the request."""
        try:
            identify(self._manager, request, body)
        except Rejected:
            seen.sender, seen.incoming = None, ()
            raise

    def _accept_from(self, sender: Sender, body: bytes, seen: Seen) -> list[Accepted]:
        from .accepting import accept  # likewise
        from .receipts import Arrival  # likewise

        seen.incoming = read_incoming(request, body, is_signed=sender.kind == "signature")
        self._backlog.check()
        arrival = Arrival.of(request, sender.name, self._hides)
        return accept(self._manager, seen.incoming, sender, arrival)

    def refuse(self, error: Refusal, seen: Seen | None = None) -> Response:
        """Answer a request that was refused with *error*, and count it."""
        rejected = self._rejected_by(error)
        self._rejections.add(rejected, seen or Seen(), why_of(error) or rejected.detail)
        return problem(rejected)

    def _rejected_by(self, error: Refusal) -> Rejected:
        match error:
            case Rejected():
                return error
            case TooManyRequests():
                return too_often(self._manager.app, error)
            case LogUnavailable():
                detail = f"The event log cannot be reached just now: send it again in {RETRY_AFTER} s."
                return Rejected(503, "log-unavailable", detail, {"Retry-After": str(RETRY_AFTER)})
            case PayloadInvalid():
                return Rejected(422, "payload-invalid", f"{paths_in(error)} cannot be stored as its name says.")
            case PayloadNotSerializable():
                return Rejected(422, "payload-invalid", f"{error.path} cannot be stored as JSON.")
            case DelayInvalid() | EventInvalid() | EventNameEmpty():
                return Rejected(422, "event-invalid", str(error))
            case HTTPException():
                return Rejected(error.code or 400, "bad-request", error.description or "The request is malformed.")
        raise error


def why_of(error: BaseException) -> str | None:
    """Return what the operator is told of *error*, where that is not what the sender is told."""
    if isinstance(error, Rejected) and error.why:
        return error.why
    for one in (error, error.__cause__):
        if isinstance(one, LogUnavailable | JobNotFindable):
            return str(one)
        if isinstance(one, PayloadInvalid):
            return f"not as its type says: {paths_in(one)}"
    return None


def paths_in(error: PayloadInvalid) -> str:
    return ", ".join(one.path for one in error.faults)


def answer(form: Form, accepted: Sequence[Accepted]) -> Response:
    """Return the answer to what was *accepted*: in the simple form as its page shows it, else the ids."""
    ids = [one.id for one in accepted]
    if form == "simple":
        response = Response(simple_answer(accepted[0]), 200, mimetype="application/json")
    else:
        body = {"ids": ids} if form == "cloudevents-batch" else {"id": ids[0]}
        response = Response(msgspec.json.encode(body), 202, mimetype="application/json")
    if any(one.is_orphan for one in accepted):
        response.headers[ORPHAN] = "true"
    return response


def simple_answer(accepted: Accepted) -> bytes:
    result = {"id": accepted.id, "name": accepted.name, "payload": msgspec.Raw(accepted.payload.encode())}
    return msgspec.json.encode({"success": True, "message": f"Event {accepted.name} accepted", "result": result})
