"""The backlog: when too much waits for a worker, what comes in is put off, and the sender keeps it until later."""

from __future__ import annotations

import time
import typing as t
from threading import Lock

from sqlalchemy import func
from sqlalchemy import literal
from sqlalchemy import select

from ..bus import ours
from ..models import PENDING
from ..models import deliveries
from .rejection import Rejected

if t.TYPE_CHECKING:
    from ..log import Log

BETWEEN_COUNTS = 1.0
"""Seconds: in them, each process may take in more than the limit allows."""
RETRY_AFTER = "30"
"""Seconds."""


class Backlog:
    """Knows, to within a second, how many deliveries of one app are pending.

    :param most: how many there may be.
    """

    def __init__(self, log: Log, most: int) -> None:
        self._log = log
        self._most = most
        self._counting = Lock()
        self._count = 0
        self._next = 0.0

    def check(self) -> None:
        """Make sure that there is room for more.

        :raises Rejected: when too many deliveries are pending. :raises LogUnavailable: when they cannot be counted.
        """
        if time.monotonic() >= self._next and self._counting.acquire(blocking=False):
            try:
                self._count = self._count_pending()
                self._next = time.monotonic() + BETWEEN_COUNTS
            finally:
                self._counting.release()
        if self._count >= self._most:
            detail = f"More than {self._most} deliveries wait for a worker here: send it again in {RETRY_AFTER} s."
            raise Rejected(503, "backlog", detail, {"Retry-After": RETRY_AFTER})

    def _count_pending(self) -> int:
        with self._log.read() as connection:
            waiting = select(literal(1)).where(ours(connection, deliveries), PENDING).limit(self._most)
            return connection.scalar(select(func.count()).select_from(waiting.subquery())) or 0
