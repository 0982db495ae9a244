"""Polling: a page that asks for itself is made once in 1 to 2 s by each process, for all to whom it shows the same."""

from __future__ import annotations

import random
import time
import typing as t
from collections import OrderedDict
from threading import Lock

from flask import Response
from flask import current_app
from flask import g
from flask import request

from .freshness import etag
from .freshness import is_known
from .freshness import seen_by
from .freshness import tagged
from .freshness import unchanged
from .same_site import stand_in_for_token
from .same_site import with_token

if t.TYPE_CHECKING:
    from collections.abc import Callable

HELD = 1.0, 2.0
"""Seconds for which a page is given to all who poll it, from and to; by chance, so that processes do not make theirs at
the same time. A browser polls 2 s after it was shown a page at the earliest: what it gets is younger than that page.
"""
MOST = 32
"""How many pages are held."""
LONGEST = 256 * 1024
"""Bytes of a page that is held; a longer one is made for each."""
POLLED = "main#main"
"""The part of a page that asks for itself, as htmx names it."""
POLLS = "condor-polls"
"""The key in ``app.extensions`` of the app's :class:`Polls`."""


def is_poll() -> bool:
    """Tell whether the request is one that an open page makes for itself, and not a person's."""
    return request.headers.get("HX-Source") == POLLED


class Polls:
    """The pages that are held; the least lately polled make room for others."""

    def __init__(self) -> None:
        self._pages: OrderedDict[object, Held] = OrderedDict()
        self._lock = Lock()

    def answer(self, make: Callable[[], Response]) -> Response:
        """Return the page of this request as it was within the last 2 s; *make* makes it where it is not held."""
        shown = request.scheme, request.host, request.script_root, request.full_path, seen_by()
        with self._lock:
            page = self._pages.setdefault(shown, Held())
            self._pages.move_to_end(shown)
            if len(self._pages) > MOST:
                self._pages.popitem(last=False)
        return page.answer(make)


def polls() -> Polls:
    """Return the pages that are held for the app of this request."""
    return t.cast(Polls, current_app.extensions.setdefault(POLLS, Polls()))


class Held:
    """A page; one thread makes it, and others who want it wait for that."""

    def __init__(self) -> None:
        self._making = Lock()
        self._until = 0.0
        self._tag: str | None = None
        self._body: bytes | None = None

    def answer(self, make: Callable[[], Response]) -> Response:
        """Return it, or that it is the one that the browser has."""
        with self._making:
            if time.monotonic() >= self._until:
                self._look()
            if is_known(self._tag):
                return unchanged(self._tag)
            response = self._made(make) if self._body is None else Response(self._body)
            response.set_data(with_token(response.get_data()))
            return tagged(response, self._tag)

    def _look(self) -> None:
        """Let go of what is held where the log has changed since."""
        self._until, tag = time.monotonic() + random.uniform(*HELD), etag()
        if tag is None or tag != self._tag:
            self._tag, self._body = tag, None

    def _made(self, make: Callable[[], Response]) -> Response:
        with stand_in_for_token():
            response = make()
        body = response.get_data()
        if self._tag is not None and response.status_code == 200 and len(body) <= LONGEST and "condor_once" not in g:
            self._body = body
        return response
