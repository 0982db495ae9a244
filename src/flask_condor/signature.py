"""The signature: what proves, by Standard Webhooks, that a request comes from who has a secret, and is unaltered."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import typing as t
from collections.abc import Sequence
from datetime import UTC
from datetime import datetime

from .errors import IN_CONFIG
from .errors import ConfigInvalid
from .errors import ExtraMissing

if t.TYPE_CHECKING:
    from standardwebhooks import Webhook
    from werkzeug.datastructures import Headers

ID = "webhook-id"
TIMESTAMP = "webhook-timestamp"
SIGNATURE = "webhook-signature"

SETTING = "CONDOR_TRIGGER_SECRETS"
PREFIX = "whsec_"
SHORTEST = 24
LONGEST = 64
"""Bytes of a secret, as Standard Webhooks has it."""
TOLERANCE = 300
"""Seconds by which the clock of a sender may differ."""
MOST = 10
"""How many signatures of one request are looked at: a sender has one for each of its secrets."""


class Signatures:
    """Tells what was signed with one of several secrets, any of which is valid: so they are rotated.

    :param secrets: as :func:`key_of` takes them.
    :param setting: where they stand, for an error.
    :raises ConfigInvalid: for a secret that is none, naming its position. :raises ExtraMissing: without the package.
    """

    def __init__(self, secrets: Sequence[str], setting: str = SETTING) -> None:
        self._setting = setting
        self._signers = [signer_of(secret, f"{setting}[{place}]") for place, secret in enumerate(secrets)]

    def signer(self, headers: Headers, body: bytes, now: float) -> str | None:
        """Return the place of the secret that *body* was signed with, such as "CONDOR_TRIGGER_SECRETS[0]".

        None for whatever is not signed, not as it was signed, or not within :data:`TOLERANCE` seconds of *now*.
        """
        id, timestamp, given = (headers.get(name, "") for name in (ID, TIMESTAMP, SIGNATURE))
        if not is_text(id) or not is_text(given) or not is_near(timestamp, now):
            return None
        try:
            text = body.decode()
        except UnicodeDecodeError:
            return None  # nor could the package have signed it
        candidates = [one.encode() for one in given.split(" ", MOST)[:MOST]]
        for place, signer in enumerate(self._signers):
            right = signed(signer, id, int(timestamp), text).encode()
            if any([hmac.compare_digest(right, one) for one in candidates]):
                return f"{self._setting}[{place}]"
        return None


def sign(secret: str, id: str, at: float, body: bytes) -> dict[str, str]:
    """Return the three headers that sign *body*, which is UTF-8.

    :param id: of the message, the same each time that it is sent again. :param at: the time now, in seconds since 1970.
    :raises ConfigInvalid: for a secret that is none. :raises ExtraMissing: without the package.
    """
    signature = signed(signer_of(secret, "secret"), id, int(at), body.decode())
    return {ID: id, TIMESTAMP: str(int(at)), SIGNATURE: signature}


def check_secret(secret: object, call: str) -> None:
    """Make sure that *secret*, an argument of a *call*, is one that can be signed with.

    :raises ConfigInvalid: for what is no base64, or too short or long, which it does not show.
    :raises ExtraMissing: without the package.
    """
    signer_of(secret, f"the argument secret of {call}", "Change it in that call.")


def signed(signer: Webhook, id: str, at: int, text: str) -> str:
    return signer.sign(id, datetime.fromtimestamp(at, UTC), text)


def signer_of(secret: object, where: str, cure: str = IN_CONFIG) -> Webhook:
    try:
        from standardwebhooks import Webhook  # an optional package
    except ImportError as missing:
        raise ExtraMissing("standardwebhooks", "webhooks", where) from missing
    return Webhook(key_of(secret, where, cure))


def key_of(secret: object, where: str, cure: str) -> bytes:
    """Return the bytes of a secret: base64, with or without "whsec_" before it and "=" at its end."""
    expected = f'"{PREFIX}" and {SHORTEST} to {LONGEST} random bytes in base64'
    try:
        text = secret.removeprefix(PREFIX).rstrip("=") if isinstance(secret, str) else ""
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ConfigInvalid(where, "not base64, and not shown", expected, cure=cure) from error
    if not SHORTEST <= len(key) <= LONGEST:
        raise ConfigInvalid(where, f"of {len(key)} bytes, and not shown", expected, cure=cure)
    return key


def is_near(timestamp: str, now: float) -> bool:
    return re.fullmatch(r"[1-9][0-9]{0,11}", timestamp) is not None and abs(int(timestamp) - now) <= TOLERANCE


def is_text(header: str) -> bool:
    return header.isascii() and header.isprintable() and header != ""
