"""The outgoing webhook: a queued job that posts its event to a partner, as a CloudEvent, signed."""

from __future__ import annotations

import http.client
import logging
import math
import time
import typing as t
from functools import cached_property
from hashlib import sha256
from urllib.parse import quote

import msgspec
from werkzeug.http import parse_date

from .addresses import Network
from .addresses import Place
from .addresses import networks_of
from .addresses import place_of
from .cloudevent import MEDIA_TYPE
from .cloudevent import cloudevent_of
from .errors import RuleInvalid
from .errors import RunInvalid
from .errors import shorten
from .event import Event
from .job import QueuedOnly
from .job import is_positive
from .job import path_of
from .line import plain
from .line import tell
from .payload import from_json
from .posting import Answer
from .posting import is_success
from .posting import post
from .posting import tls_context
from .retry import AttemptFailed
from .signature import check_secret
from .signature import sign

if t.TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

    from .context import Context
    from .log import Log

SENDER = "Flask-Condor"
LONGEST_TIMEOUT = 300.0
"""Seconds."""
GONE = 410

logger = logging.getLogger(__name__)


class WebhookFailed(AttemptFailed):
    """An event was not delivered by a webhook: there was no answer, or none with a status of 200 to 299.

    ``status`` is that of the answer, or None.
    """

    def __init__(self, said: str, status: int | None = None, *, wait: float = 0.0, is_final: bool = False) -> None:
        super().__init__(said, wait=wait, is_final=is_final)
        self.status = status


class Webhook(QueuedOnly):
    """Posts an event to one URL; made by :func:`webhook`.

    A worker finds it by the URL's host and digest, not by the URL itself: some are secrets, and this is shown in logs.
    """

    def __init__(self, place: Place, secret: str, timeout: float, networks: Sequence[Network]) -> None:
        digest = sha256(place.url.encode()).hexdigest()[:12]
        self.__name__ = self.__qualname__ = f"webhook-{place.host.replace(':', '.')}-{digest}"
        self.url = place.url
        """Where it posts to, the same for all spellings of host and port."""
        self._place = place
        self._secret = secret
        self._timeout = timeout
        self._networks = networks

    def __repr__(self) -> str:
        return self.__name__

    def __call__(self, event: Event[t.Any], ctx: Context) -> dict[str, int]:
        if ctx.delivery is None:
            raise RunInvalid(f"{self} runs in a worker only: register it with run='queued', and fire its event.")
        self._refuse_disabled(ctx.events.log)
        body = body_of(event, ctx)
        headers = sign(self._secret, message_id(event.id), time.time(), body)
        answer = self._post({"Content-Type": MEDIA_TYPE, "User-Agent": SENDER, **headers}, body)
        if is_success(answer.status):
            return {"status": answer.status}
        if answer.status == GONE:
            self._disable(event, ctx.events.log, answer)
        raise WebhookFailed(
            f"{self._place.authority} answered {told(answer)}",
            answer.status,
            wait=seconds_until(answer.retry_after),
            is_final=answer.status == GONE,
        )

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return tls_context()

    def _post(self, headers: dict[str, str], body: bytes) -> Answer:
        try:
            return post(self._place, headers, body, self._tls, timeout=self._timeout, networks=self._networks)
        except (OSError, http.client.HTTPException) as error:
            said = f"{self._place.authority} gave no answer: {type(error).__name__}: {shorten(error)}"
            raise WebhookFailed(str(plain(said))) from error

    def _refuse_disabled(self, log: Log) -> None:
        from .disabled import disabled_since  # imports SQLAlchemy, which only a worker has to pay

        with log.read() as connection:
            if disabled_since(connection, self.url) is None:
                return
        raise WebhookFailed(f"{self} is disabled, as it answered 410 Gone, so nothing was sent.", is_final=True)

    def _disable(self, event: Event[t.Any], log: Log, answer: Answer) -> None:
        from .disabled import disable  # likewise

        with log.begin("the webhook was not disabled") as connection:
            is_news = disable(connection, self.url, told(answer))
        if is_news:
            text = "%s was answered with %s Nothing more is sent there until: flask events webhook enable %s"
            tell(
                logger,
                "webhook_disabled",
                text,
                self,
                told(answer),
                self,
                event_id=event.id,
                event_name=event.name,
                job=path_of(self),
            )


def webhook(url: str, *, secret: str, timeout: float = 10.0, networks: Sequence[str] = ()) -> Webhook:
    """Return a job that posts its event to *url*: ``register(ORDER_PAID, webhook(URL, secret=SECRET), run="queued")``.

    Sent is a CloudEvent 1.0 as JSON, signed by Standard Webhooks; ``webhook-id`` is the same for each attempt. Any
    answer but 200 to 299 is a failed attempt, tried again by the rules of the registration; 410 Gone is final, and
    disables the URL. Redirects are not followed, and no address is connected to that is not public.

    :param url: of https. It is what tells a webhook from others: what waits for one is not sent to another.
    :param secret: "whsec_" and 24 to 64 random bytes in base64, which the partner has too. It may be changed.
    :param timeout: seconds for one attempt as a whole.
    :param networks: where the host has to be when it is one of your own, such as ["10.1.0.0/16"], in place of a
        public address.
    :raises UrlInvalid: for another URL, or networks that are none. :raises ConfigInvalid: for a secret that is none.
    :raises RuleInvalid: for a timeout that is none. :raises ExtraMissing: without ``flask-condor[webhooks]``.
    """
    place = place_of(url)
    check_secret(secret, f"webhook({place.authority})")
    if not is_positive(timeout) or timeout > LONGEST_TIMEOUT:
        raise RuleInvalid(f"timeout={timeout!r}: expected seconds above 0, up to {LONGEST_TIMEOUT:g}.")
    return Webhook(place, secret, timeout, networks_of(networks))


def body_of(event: Event[t.Any], ctx: Context) -> bytes:
    """Return *event* as a CloudEvent in JSON, whose source names the app and its bus."""
    source = f"urn:flask-condor:{quote(ctx.app.name, safe='')}:{ctx.events.log.bus}"
    payload = from_json(ctx.events.registry.typed_names.to_json(event))
    plain_event = Event(event.name, payload, event.id, event._made_at, event._origin)
    return msgspec.json.encode(cloudevent_of(plain_event, source))


def message_id(id: str) -> str:
    """Return *id* as a header can hold it: itself, or a digest."""
    if id.isascii() and id.isprintable() and id == id.strip():
        return id
    return sha256(id.encode()).hexdigest()


def told(answer: Answer) -> str:
    """Return status and beginning of *answer*, on one line in which nothing acts upon a terminal."""
    words = http.client.responses.get(answer.status, "")
    begin = " ".join(answer.begin.split())
    said = f"{answer.status} {words}".rstrip()
    return str(plain(f"{said}: {begin}" if begin else f"{said}."))


def seconds_until(retry_after: str | None) -> float:
    """Return what a Retry-After header asks for, in seconds or as a date; 0 for none that can be read."""
    if retry_after is None:
        return 0.0
    if retry_after.isascii() and retry_after.isdecimal():
        return float(retry_after[:12])
    at = parse_date(retry_after)
    return 0.0 if at is None else max(0.0, math.ceil(at.timestamp() - time.time()))
