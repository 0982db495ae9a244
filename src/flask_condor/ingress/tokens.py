"""The bearer tokens of those who may send events: made, rotated, revoked and looked up; the log holds only digests."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import typing as t
from collections.abc import Sequence

import msgspec
from sqlalchemy import ColumnElement
from sqlalchemy import insert
from sqlalchemy import or_
from sqlalchemy import select
from sqlalchemy import text
from sqlalchemy import update
from sqlalchemy.engine import Connection
from sqlalchemy.engine import Row

from ..bus import bus_of
from ..bus import ours
from ..database import executor_of
from ..edge_models import tokens
from ..errors import OperationRefused
from ..log import clock
from ..operations import note

ALL = ("*",)
OVERLAP = 24 * 3600.0
"""Seconds for which the token before lives on while one is rotated."""
BETWEEN_USES = 60.0
"""Seconds within which the use of a token is written down once."""
NAMING = 0x0C0D5
"""The PostgreSQL advisory lock under which a token is given a name."""
TOKEN = re.compile(r"condor_[A-Za-z0-9_-]{43}")


KNOWN = ("id", "name", "scopes", "created_at", "expires_at", "revoked_at", "last_used_at")
FIND = f"SELECT digest, {', '.join(KNOWN)} FROM condor_tokens WHERE bus = :bus AND digest = :digest"

State = t.Literal["live", "expired", "revoked"]


class Made(msgspec.Struct, frozen=True):
    """A token that was made just now, to be shown once."""

    token: str
    scopes: tuple[str, ...]
    expires_at: float | None


class Token(msgspec.Struct, frozen=True):
    """What is known of a token: all but itself. Times are in seconds since 1970."""

    id: int
    name: str
    scopes: tuple[str, ...]
    created_at: float
    expires_at: float | None
    revoked_at: float | None
    last_used_at: float | None

    def state(self, now: float) -> State:
        """Return what it is worth *now*."""
        if self.revoked_at is not None:
            return "revoked"
        return "live" if self.expires_at is None or self.expires_at > now else "expired"


def create(
    connection: Connection, name: str, scopes: Sequence[str] = ALL, *, expires_in: float | None = None, actor: str
) -> Made:
    """Store a new token, and return it: it is not to be had again.

    :param scopes: the patterns of the names that may be sent with it, as :mod:`.sending` reads them.
    :param expires_in: the seconds for which it is valid; for ever when None.
    :raises OperationRefused: when a live one has this *name*, or for a name or scope that is none.
    """
    lock_names(connection)
    if rows_of(connection, name, live_at(clock(connection))):
        raise OperationRefused(
            f"a token named {name!r} is live. Revoke it first, or type"
            f" `flask events token create {name} --rotate` to put another in its place."
        )
    return add(connection, name, scopes, expires_in, actor, "token-create")


def rotate(  # all by keyword that need not be there
    connection: Connection,
    name: str,
    scopes: Sequence[str] = (),
    *,
    expires_in: float | None = None,
    overlap: float = OVERLAP,
    actor: str,
) -> Made:
    """Store another token of the same name, and return it; the one before expires after *overlap* seconds.

    :param scopes: those of the one before when empty.
    :param expires_in: as :func:`create`; when None, as many as the one before had from its beginning.
    :raises OperationRefused: when no live token has this *name*.
    """
    lock_names(connection)
    now = clock(connection)
    before = rows_of(connection, name, live_at(now))
    if not before:
        raise OperationRefused(f"no live token is named {name!r}: leave --rotate out to make the first.")
    ends = now + overlap
    expiring = or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > ends)
    ids = tokens.c.id.in_([row.id for row in before])
    connection.execute(update(tokens).where(ids, expiring).values(expires_at=ends))
    last = before[-1]
    if expires_in is None and last.expires_at is not None:
        expires_in = last.expires_at - last.created_at
    return add(connection, name, scopes or json.loads(last.scopes), expires_in, actor, "token-rotate")


def add(  # each by its place
    connection: Connection, name: str, scopes: Sequence[str], expires_in: float | None, actor: str, action: str
) -> Made:
    check_name_and_scopes(name, scopes)
    if expires_in is not None and expires_in < 1:
        raise OperationRefused("a token that expires within a second is of no use to anybody: give it longer.")
    token, now = f"condor_{secrets.token_urlsafe(32)}", clock(connection)
    expires_at = None if expires_in is None else now + expires_in
    row = {"name": name, "digest": digest_of(token), "scopes": json.dumps(list(scopes)), "created_at": now}
    connection.execute(insert(tokens).values(**row, expires_at=expires_at, bus=bus_of(connection)))
    note(connection, actor, action, name=name, scopes=list(scopes), expires_at=expires_at)
    return Made(token, tuple(scopes), expires_at)


def check_name_and_scopes(name: str, scopes: Sequence[str]) -> None:
    if not re.fullmatch(r"[\w.@-]{1,64}", name):
        raise OperationRefused(f"{name!r} is no name of a token: type 1 to 64 letters, digits, '.', '@', '_' or '-'.")
    for scope in scopes:
        if not scope or len(scope) > 255 or not scope.isprintable():
            raise OperationRefused(f"{scope!r} is no pattern of event names: type one such as 'order.*'.")


def revoke(connection: Connection, name: str, *, actor: str) -> int:
    """End all live tokens of this *name* at once, and return how many.

    :raises OperationRefused: when there is none.
    """
    now = clock(connection)
    living = (ours(connection, tokens), tokens.c.name == name, live_at(now))
    count = connection.execute(update(tokens).where(*living).values(revoked_at=now)).rowcount
    if not count:
        raise OperationRefused(f"no live token is named {name!r}: `flask events token list` shows those there are.")
    note(connection, actor, "token-revoke", name=name, count=count)
    return count


def all_tokens(connection: Connection) -> list[Token]:
    """Return the tokens, also those that have ended until they are pruned, by name, the oldest first."""
    known = select(*(tokens.c[column] for column in KNOWN)).where(ours(connection, tokens))
    return [token_from(*row) for row in connection.execute(known.order_by(tokens.c.name, tokens.c.id))]


def has_live(connection: Connection) -> bool:
    """Tell whether anybody can send with a token."""
    living = select(tokens.c.id).where(ours(connection, tokens), live_at(clock(connection))).limit(1)
    return connection.scalar(living) is not None


def find(connection: Connection, digest: str) -> tuple[Token, State] | None:
    """Return what is known of the token with this *digest*, and what it is worth now; None when there is none.

    On SQLite by plain SQL, as each request asks for it: as a statement of SQLAlchemy's it takes ten times as long.
    """
    values = {"bus": bus_of(connection), "digest": digest}
    if connection.dialect.name == "sqlite":
        row = executor_of(connection)(FIND, values).fetchone()
    else:
        row = connection.execute(text(FIND), values).one_or_none()
    if row is None or not hmac.compare_digest(row[0], digest):
        return None
    found = token_from(*row[1:])
    return found, found.state(clock(connection))


def is_token(given: str) -> bool:
    """Tell whether *given* looks like a token: what does not is none, and need not be looked up."""
    return TOKEN.fullmatch(given) is not None


def note_use(connection: Connection, id: int) -> None:
    """Write down that a token is used now, unless that was done within :data:`BETWEEN_USES` seconds."""
    now = clock(connection)
    is_long_ago = or_(tokens.c.last_used_at.is_(None), tokens.c.last_used_at <= now - BETWEEN_USES)
    connection.execute(update(tokens).where(tokens.c.id == id, is_long_ago).values(last_used_at=now))


def lock_names(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": NAMING})


def digest_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def live_at(now: float) -> ColumnElement[bool]:
    return tokens.c.revoked_at.is_(None) & or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > now)


def rows_of(connection: Connection, name: str, chosen: ColumnElement[bool]) -> Sequence[Row[t.Any]]:
    named = select(tokens).where(ours(connection, tokens), tokens.c.name == name, chosen)
    return connection.execute(named.order_by(tokens.c.id)).fetchall()


def token_from(id: int, name: str, scopes: str, *times: t.Any) -> Token:
    return Token(id, name, tuple(json.loads(scopes)), *times)
