"""The simple form, as of the Trigger.dev page: ``{"event": name, "payload": anything, "id"?: text, "delay"?: ...}``."""

from __future__ import annotations

import json
import typing as t

from werkzeug.datastructures import Headers
from werkzeug.http import unquote_header_value

from ..due import UNITS
from ..due import due_from
from ..errors import DelayInvalid
from .incoming import Incoming
from .incoming import refuse_text
from .rejection import MISSING_FIELDS
from .rejection import Rejected
from .strict_json import parse


def read_simple(headers: Headers, body: bytes, *, is_signed: bool = False) -> Incoming:
    """Return the event that *body* says. Its id is that of the body, else that of the headers.

    Keys of the body that the form does not have are ignored, as by the page's own code.

    :param headers: ``Idempotency-Key`` is an id.
    :param is_signed: whether ``webhook-id`` is one, too.
    :raises Rejected: for a body that is no such form; :data:`MISSING_FIELDS` when it names no event.
    """
    form = parse(body)
    if not isinstance(form, dict) or form.get("event") in NOTHING:
        raise Rejected(400, MISSING_FIELDS, "Missing required fields")
    if is_signed and "specversion" in form:  # the type is not signed: whoever saw the request could alter it
        raise Rejected(400, "form-unclear", "The signed body is a CloudEvent: send it as application/cloudevents+json.")
    key = key_of(form, headers, is_signed=is_signed)
    return Incoming(
        name=refuse_text(form["event"], 'The name under "event"', "name-invalid"),
        payload=form.get("payload"),
        form="simple",
        id=key,
        key=key,
        delay=delay_of(form),
    )


NOTHING: tuple[t.Any, ...] = (None, False, 0, "")
"""What is no event to the page's code, ``!body.event``."""


def key_of(form: dict[str, t.Any], headers: Headers, *, is_signed: bool) -> str | None:
    if form.get("id") is not None:
        return refuse_text(form["id"], 'The "id"', "id-invalid")
    if "Idempotency-Key" in headers:
        return refuse_text(unquote_header_value(headers["Idempotency-Key"]), "The Idempotency-Key", "id-invalid")
    if is_signed:
        return refuse_text(headers.get("webhook-id"), "The webhook-id", "id-invalid")
    return None


def delay_of(form: dict[str, t.Any]) -> t.Any:
    delay = form.get("delay")
    if delay is None:
        return None
    try:
        due_from(delay, None)
    except DelayInvalid as error:
        ways = f"send seconds, or an object of {', '.join(UNITS)}; none below 0, and at most a century in all."
        raise Rejected(400, "delay-invalid", f"The delay is {json.dumps(delay)[:60]}: {ways}") from error
    return delay
