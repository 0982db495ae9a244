"""The body of a request: read up to a limit, and told by its type in which form it says what has happened."""

from __future__ import annotations

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge

from ..cloudevent import MEDIA_TYPE
from .cloudevents import read_batch
from .cloudevents import read_binary
from .cloudevents import read_structured
from .incoming import Incoming
from .rejection import Rejected
from .simple import read_simple
from .strict_json import LARGEST_BODY
from .strict_json import too_large

SIMPLE = "application/json"
BATCH = "application/cloudevents-batch+json"
ACCEPTED = (SIMPLE, MEDIA_TYPE, BATCH)


def read_body(request: Request) -> bytes:
    """Return the body of *request* as it was sent, having read at most a byte more than is taken.

    The limit is this one, whatever the app's ``MAX_CONTENT_LENGTH``.

    :raises Rejected: for a body that is too long, compressed or not whole.
    """
    encoding = request.headers.get("Content-Encoding", "")
    if encoding.strip().lower() not in ("", "identity"):
        detail = "The body is compressed, and nothing is unpacked here: send it as it is."
        raise Rejected(415, "compressed", detail, {"Accept-Encoding": "identity"})
    # One more than is taken: at its limit Werkzeug ends the body of a chunked request without a word.
    request.max_content_length = LARGEST_BODY + 1
    try:
        body = request.get_data()
    except RequestEntityTooLarge as error:
        raise too_large() from error
    except Exception as error:  # each WSGI server has its own errors for a body that is not as it was said to be
        raise incomplete() from error
    if len(body) > LARGEST_BODY:
        raise too_large()
    if len(body) < (request.content_length or 0):
        raise incomplete()
    return body


def incomplete() -> Rejected:
    detail = "The body ended before it was whole: send as many bytes as Content-Length says, or whole chunks."
    return Rejected(400, "incomplete", detail)


def read_incoming(request: Request, body: bytes, *, is_signed: bool = False) -> list[Incoming]:
    """Return the events that *body* says, in their order; more than one only for a batch.

    :param is_signed: whether a Standard Webhooks signature was found good, whose ``webhook-id`` then may be an id.
    :raises Rejected: naming the rule that it breaks; 415 for a type that is no form.
    """
    kind = request.mimetype
    if kind == BATCH:
        return read_batch(body)
    if kind == MEDIA_TYPE:
        return [read_structured(body)]
    if not kind.startswith("application/cloudevents") and is_binary(request):
        return [read_binary(request.headers, body)]
    if kind == SIMPLE:
        return [read_simple(request.headers, body, is_signed=is_signed)]
    detail = f"A body of this Content-Type is not taken: send {', '.join(ACCEPTED[:-1])} or {ACCEPTED[-1]}."
    raise Rejected(415, "content-type", detail, {"Accept": ", ".join(ACCEPTED)})


def is_binary(request: Request) -> bool:
    return any(name[:3].lower() == "ce-" for name in request.headers.keys())
