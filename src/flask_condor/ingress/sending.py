"""Who sends: the sender of a request, by its signature or bearer token, and which events that one may send."""

from __future__ import annotations

import time
import typing as t
from collections.abc import Callable
from collections.abc import Iterable
from fnmatch import fnmatchcase

import msgspec
from flask import Request

from ..errors import LogUnavailable
from ..line import tell
from ..local import is_local
from ..serving import RETRY_AFTER
from ..signature import ID
from ..signature import SIGNATURE
from ..signature import Signatures
from .rejection import Rejected

if t.TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from ..config import Config
    from ..manager import EventsManager
    from .tokens import State
    from .tokens import Token

DOOR = "condor_door"
"""Where ``app.extensions`` has the :class:`Door`."""
WAYS = (
    "Send a token as `Authorization: Bearer condor_...`, or sign the request as Standard Webhooks has it:"
    " webhook-id, webhook-timestamp and webhook-signature."
)

ENDED = {"expired": "has expired", "revoked": "was revoked"}
ELSEWHERE = (
    "it is not from this machine, but from another one, through a proxy, under another host name, or from a page of"
    " another site; with neither a secret nor a token only debug mode's own machine is let in."
    " To let others in: `flask events token create NAME`, or CONDOR_TRIGGER_SECRETS."
)


MOST_REMEMBERED = 1000
"""Tokens."""


class Sender(msgspec.Struct, frozen=True):
    """Who sent a request: the name of a token, or the place of the secret that it was signed with."""

    name: str
    scopes: tuple[str, ...]
    """Patterns of the names of events."""
    kind: t.Literal["token", "signature", "open"]
    digest: str | None = None
    """That of a token which is known from before: whether it is still live, :func:`confirm` tells."""

    def may_send(self, name: str) -> bool:
        """Tell whether events of this *name* may come from here, as far as the sender goes."""
        return matches(name, self.scopes)


class Door:
    """What lets senders in at the route of one app.

    :param is_open: whether the app has neither secrets nor tokens: who is at this machine then may send, in debug mode.
    :param look: tells the same while it is not known, when the log could not be asked; None as long as it cannot be.
    :raises ConfigInvalid: for a secret that is none. :raises ExtraMissing: for secrets without the package.
    """

    def __init__(
        self, manager: EventsManager, *, is_open: bool | None, look: Callable[[], bool | None] = lambda: None
    ) -> None:
        self._manager = manager
        self._look = look
        secrets = manager.config.trigger_secrets
        self._signatures = Signatures(secrets) if secrets else None
        self.is_open = is_open
        """Whether it is for who is at this machine, and for nobody else; None while that is not known."""
        self._uses: dict[int, float] = {}
        self._remembered: dict[str, tuple[Sender, float]] = {}

    def identify(self, request: Request, body: bytes, *, recall: bool) -> Sender:
        """Return who sent *request*; as :func:`identify`."""
        if self.is_open is None:
            self.is_open = self._look()
        if self.is_open is None:
            raise put_off("Whether this is open to you cannot be looked up for the moment. Send it again later.")
        if self.is_open:
            return open_sender(request, is_debug=self._manager.app.debug)
        sender = self._signer(request, body) or self._bearer(request, recall=recall)
        if sender is None:
            raise unidentified(why_unknown(request, has_secrets=self._signatures is not None))
        return sender

    def _signer(self, request: Request, body: bytes) -> Sender | None:
        place = self._signatures and self._signatures.signer(request.headers, body, time.time())
        if not place:
            return None
        refuse_unsigned(request)
        return Sender(place, ("*",), "signature")

    def _bearer(self, request: Request, *, recall: bool) -> Sender | None:
        from .tokens import digest_of  # imports SQLAlchemy, which the route of an app in debug mode need not pay
        from .tokens import is_token

        token = bearer_in(request)
        if not is_token(token):
            return None
        digest = digest_of(token)
        remembered, until = self._remembered.get(digest, (None, 0.0))
        if recall and time.monotonic() < until:
            return remembered
        return self._look_up(digest)

    def _look_up(self, digest: str) -> Sender:
        from .tokens import find

        self._remembered.pop(digest, None)
        try:
            with self._manager.log.read() as connection:
                found = find(connection, digest)
        except LogUnavailable as error:
            raise put_off("Whose token this is cannot be looked up for the moment. Send it again later.") from error
        token = refuse_ended(found)
        self._note_use(token)
        self._remember(digest, token)
        return Sender(token.name, token.scopes, "token")

    def _remember(self, digest: str, token: Token) -> None:
        """Keep what never changes of a token; not for ever, as its use is noted when it is looked up."""
        from .tokens import BETWEEN_USES

        if len(self._remembered) >= MOST_REMEMBERED:
            self._remembered.clear()
        until = time.monotonic() + BETWEEN_USES
        self._remembered[digest] = Sender(token.name, token.scopes, "token", digest), until

    def _note_use(self, token: Token) -> None:
        """Write down that a token is in use, once a minute; that it cannot be is no reason to refuse the request."""
        from .tokens import BETWEEN_USES
        from .tokens import note_use

        now = time.monotonic()
        if now - self._uses.get(token.id, -BETWEEN_USES) < BETWEEN_USES:
            return
        self._uses[token.id] = now
        try:
            with self._manager.log.change("the use of a token was not noted") as connection:
                note_use(connection, token.id)
        except LogUnavailable as error:
            tell(self._manager.app.logger, "token_use_unnoted", "%s The request goes on.", error)


def put_off(said: str) -> Rejected:
    return Rejected(503, "log-unavailable", said, {"Retry-After": str(RETRY_AFTER)})


def unidentified(why: str) -> Rejected:
    return Rejected(401, "unidentified", WAYS, {"WWW-Authenticate": "Bearer"}, why=why)


def identify(manager: EventsManager, request: Request, body: bytes, *, recall: bool = False) -> Sender:
    """Return who sent *request*, whose *body* is as it came.

    :param recall: whether a token that was looked up within a minute is known by that: the caller then is to
        :func:`confirm` the sender, in the transaction that stores, before anything is answered.
    :raises Rejected: 401 for nobody that is known, without saying what was wrong; 400 for what is signed but for a part
        of it; 503 while tokens cannot be looked up; 404 for who is elsewhere, when only this machine is let in.
    """
    door: Door = manager.app.extensions[DOOR]
    return door.identify(request, body, recall=recall)


def confirm(connection: Connection, sender: Sender) -> None:
    """Make sure that the token of a *sender* that was remembered is still live.

    :raises Rejected: 401, when it has ended since.
    """
    from .tokens import find

    if sender.digest is not None:
        refuse_ended(find(connection, sender.digest))


def refuse_ended(found: tuple[Token, State] | None) -> Token:
    if found is None:
        raise unidentified("its token was never made, or is of another event log: see `flask events token list`.")
    token, state = found
    if state != "live":
        raise unidentified(f"its token, {token.name}, {ENDED[state]}: see `flask events token list`.")
    return token


def bearer_in(request: Request) -> str:
    """Return what *request* has after ``Bearer``; an empty text when it has none."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def why_unknown(request: Request, *, has_secrets: bool) -> str:
    """Return what was wrong with a request that nobody known has sent, for whoever runs the app alone."""
    if request.headers.get("Authorization", "").partition(" ")[0].lower() == "bearer":
        return "what it has after `Bearer` is no token of `flask events token create`; part of it may be missing."
    if SIGNATURE in request.headers and not has_secrets:
        return "it is signed, and there is no CONDOR_TRIGGER_SECRETS."
    if SIGNATURE in request.headers:
        return "its signature is by none of CONDOR_TRIGGER_SECRETS, is of other bytes, or is more than 300 s off."
    return "it has neither `Authorization: Bearer` nor a webhook-signature."


def check_name(sender: Sender, config: Config, name: str) -> None:
    """Make sure that *sender* may send events of this *name*, and that the app lets anybody do so.

    :raises Rejected: 403, which does not say which of the two.
    """
    if sender.may_send(name) and (config.trigger_events is None or matches(name, config.trigger_events)):
        return
    if sender.may_send(name):
        why = f"CONDOR_TRIGGER_EVENTS has no pattern for {ascii(name)}."
    else:
        why = f"{sender.name} has no pattern for {ascii(name)}: see `flask events token list`."
    raise Rejected(403, "not-allowed", "Events of this name may not be sent from here.", why=why)


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Tell whether *name* is like one of *patterns*: "*" stands for any text or none, all else for itself."""
    return any(fnmatchcase(name, one.replace("[", "[[]").replace("?", "[?]")) for one in patterns)


def open_sender(request: Request, *, is_debug: bool) -> Sender:
    """Return who sits at this very machine; a page of another site that is open in a browser there is somebody else."""
    here = request.host_url.rstrip("/")
    is_of_page_here = request.headers.get("Sec-Fetch-Site", "none") in ("none", "same-origin")
    if not (is_debug and is_local(request) and is_of_page_here and request.headers.get("Origin", here) == here):
        raise Rejected(404, "not-found", "There is nothing at this address.", why=ELSEWHERE)
    return Sender("local", ("*",), "open")


def refuse_unsigned(request: Request) -> None:
    """Make sure that a signed request says nothing in headers: they are not signed, so who saw it could alter them."""
    key = request.headers.get("Idempotency-Key")
    names = [name for name in request.headers.keys() if name.lower().startswith("ce-")]
    if key is not None and key != request.headers[ID]:
        names.append("Idempotency-Key")
    if names:
        said = f"The signature does not cover the header {names[0]}. Leave it out: send it in the body, or use a token."
        raise Rejected(400, "unsigned-header", said)
