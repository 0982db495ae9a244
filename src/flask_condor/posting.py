"""One POST over https: to an address that was looked up and allowed before, within a time and a number of bytes."""

from __future__ import annotations

import contextlib
import http.client
import math
import socket
import ssl
import time
import typing as t
from collections.abc import Mapping
from collections.abc import Sequence

import msgspec

from .addresses import Network
from .addresses import Place
from .addresses import addresses_of

LONGEST_ANSWER = 65_536
"""Bytes of an answer that are read, with its headers."""
SHOWN = 200
"""Bytes of an answer's body that are told of."""


class AnswerTooLong(http.client.HTTPException):
    """An answer did not end its headers within the bytes that are read of it."""

    def __init__(self) -> None:
        super().__init__(f"the answer's headers do not end within {LONGEST_ANSWER:,} bytes")


class Answer(msgspec.Struct, frozen=True):
    """What came back."""

    status: int
    retry_after: str | None
    begin: str
    """Of its body, or "" where that says nothing; whatever the other side wrote."""


class Limited(ssl.SSLSocket):
    """A TLS socket that fails at a moment, however little by little the other side sends, or after so many bytes."""

    until: float = math.inf
    """By the monotonic clock."""
    left = LONGEST_ANSWER

    def recv_into(self, *args: t.Any, **kwargs: t.Any) -> int:
        self.settimeout(rest(self.until))
        count = super().recv_into(*args, **kwargs)
        self.left -= count
        if self.left < 0:
            raise AnswerTooLong
        return count

    def send(self, *args: t.Any, **kwargs: t.Any) -> int:
        self.settimeout(rest(self.until))
        return super().send(*args, **kwargs)


class Pinned(http.client.HTTPConnection):
    """A connection to the first of *addresses* that answers; what the host's name leads to by now is not asked.

    Neither proxies nor redirects are known to ``http.client``, and it refuses line ends in headers.
    """

    def __init__(self, place: Place, addresses: Sequence[str], tls: ssl.SSLContext, until: float) -> None:
        super().__init__(place.host, place.port)
        self._addresses = addresses
        self._tls = tls
        self._until = until

    def connect(self) -> None:
        plain = self._first_that_answers()
        try:
            plain.settimeout(rest(self._until))
            self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)
            t.cast(Limited, self.sock).until = self._until
        except BaseException:
            plain.close()
            raise

    def _first_that_answers(self) -> socket.socket:
        errors: list[OSError] = []
        for address in self._addresses:
            try:
                return socket.create_connection((address, self.port), rest(self._until))
            except OSError as error:
                errors.append(error)
        raise errors[-1]


def post(  # the last two by keyword
    place: Place,
    headers: Mapping[str, str],
    body: bytes,
    tls: ssl.SSLContext,
    *,
    timeout: float,
    networks: Sequence[Network] = (),
) -> Answer:
    """Send *body*, and return what came back, whatever its status: a redirect is an answer like another.

    :param tls: as :func:`tls_context` makes it.
    :param timeout: seconds for all of it, from the look-up on; that itself ends when the system's resolver gives up.
    :param networks: as :func:`addresses_of` takes them, which raises too.
    :raises OSError: when there is no connection, no valid certificate, or no answer in time.
    :raises http.client.HTTPException: for an answer that is no HTTP, or too long.
    """
    until = time.monotonic() + timeout
    connection = Pinned(place, addresses_of(place, networks), tls, until)
    with contextlib.closing(connection):
        sent = {"Host": place.authority, "Content-Length": str(len(body)), "Connection": "close", **headers}
        connection.request("POST", place.path, body, sent)
        with contextlib.closing(connection.getresponse()) as response:
            begin = "" if is_success(response.status) else begin_of(response)
            return Answer(response.status, response.headers.get("Retry-After"), begin)


def is_success(status: int) -> bool:
    return 200 <= status < 300


def tls_context() -> ssl.SSLContext:
    """Return a context that asks for a certificate of the host's name, by an authority that this system trusts."""
    context = ssl.create_default_context()
    context.sslsocket_class = Limited
    return context


def begin_of(response: http.client.HTTPResponse) -> str:
    try:
        return response.read1(SHOWN).decode("utf-8", "replace")
    except (OSError, ValueError, http.client.HTTPException):
        return ""  # the status says enough


def rest(until: float) -> float:
    """Return how many seconds are left.

    :raises TimeoutError: when none are.
    """
    seconds = until - time.monotonic()
    if seconds <= 0:
        raise TimeoutError("the time for it is over")
    return seconds
