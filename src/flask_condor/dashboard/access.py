"""Access: who makes a request to the dashboard, and what they may do there; nobody anything, unless a rule is given."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import typing as t
from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock

from flask import abort
from flask import g
from flask import request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized
from werkzeug.security import check_password_hash

from ..local import is_local

if t.TYPE_CHECKING:
    from .mounting import Authorize
    from .routes import Permission

REMEMBERED = 256
"""How many passwords that were right are remembered, so that a request does not cost the 50 ms of their hash."""
LONGEST_PASSWORD = 1024


class Access:
    """The rules of one app.

    :param users: names and hashes of passwords. :param authorize: decides for each action; None lets users do all.
    """

    def __init__(self, users: Mapping[str, str], authorize: Authorize | None) -> None:
        self._users = users
        self._authorize = authorize
        self._known = KnownPasswords(users)

    @property
    def is_open(self) -> bool:
        """Whether there is no rule, so that only a person at this machine may come in, in debug mode."""
        return not self._users and self._authorize is None

    def identify(self) -> None:
        """Find out who makes the request.

        :raises NotFound: for one that is not local, where there is no rule.
        :raises Unauthorized: for a wrong name or password, where there are users.
        """
        if self.is_open and not is_local(request):
            abort(404)
        g.condor_actor = self._user() if self._users else request.remote_user or f"dashboard {request.remote_addr}"
        g.condor_allowed = {}

    def _user(self) -> str:
        given = request.authorization
        name = (given.username if given is not None and given.type == "basic" else None) or ""
        password = (given.password if given is not None else None) or ""
        if not self._known.is_right(name, password):
            challenge = WWWAuthenticate("basic", {"realm": "Condor", "charset": "UTF-8"})
            raise Unauthorized("A name and its password are needed.", www_authenticate=challenge)
        return name

    def allows(self, action: Permission) -> bool:
        """Tell whether whoever makes the request may do *action*; the callback is asked once in a request."""
        if self._authorize is None:
            return True
        allowed: dict[str, bool] = g.condor_allowed
        if action not in allowed:
            allowed[action] = bool(self._authorize(action, request))
        return allowed[action]


class KnownPasswords:
    """Those that were right, by a digest that is worth nothing outside this process; wrong ones are never kept.

    :param users: names and hashes of passwords.
    """

    def __init__(self, users: Mapping[str, str]) -> None:
        self._users = users
        self._key = secrets.token_bytes(32)
        self._digests: OrderedDict[bytes, None] = OrderedDict()
        self._lock = Lock()

    def is_right(self, name: str, password: str) -> bool:
        """Tell whether *password* is that of *name*; it takes as long for a name that there is not."""
        if not name or len(password) > LONGEST_PASSWORD:
            return False
        hashed, decoy = self._users.get(name), next(iter(self._users.values()), "")
        text = f"{len(name)}:{name}{password}{hashed}".encode("utf-8", "surrogatepass")
        digest = hmac.digest(self._key, text, hashlib.sha256)
        with self._lock:
            if digest in self._digests:
                self._digests.move_to_end(digest)
                return True
        is_right = check_password_hash(hashed or decoy, password) and hashed is not None
        if is_right:
            self._remember(digest)
        return is_right

    def _remember(self, digest: bytes) -> None:
        with self._lock:
            self._digests[digest] = None
            if len(self._digests) > REMEMBERED:
                self._digests.popitem(last=False)
