"""The problem: a rejection as the answer that is sent, RFC 9457; the one place that knows how refusals look."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from flask import Response

from .rejection import MISSING_FIELDS
from .rejection import Rejected

PROBLEM = "application/problem+json"


def problem(rejected: Rejected) -> Response:
    """Return the answer for *rejected*: a problem with the member ``rule`` beside those of RFC 9457.

    Only that of a simple form without an event is the one of the Trigger.dev page.
    """
    if rejected.rule == MISSING_FIELDS:
        return answer(rejected, {"error": rejected.detail}, "application/json")
    body = {
        "type": "about:blank",
        "title": HTTPStatus(rejected.status).phrase,
        "status": rejected.status,
        "detail": rejected.detail,
        "rule": rejected.rule,
    }
    return answer(rejected, body, PROBLEM)


def answer(rejected: Rejected, body: dict[str, object], kind: str) -> Response:
    content = msgspec.json.encode(body)
    return Response(content, rejected.status, rejected.headers, content_type=kind)
