"""The rejections: how many requests were refused, by which rule, in which hour; stored in the background.

A flood of them costs each request a look into a dict, and the log a row for each rule and hour.
"""

from __future__ import annotations

import time
import typing as t

import msgspec
from flask import request
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Connection

from .. import travel
from ..background import Writer
from ..bus import bus_of
from ..edge_models import rejections
from ..errors import CondorError
from ..line import plain
from ..line import tell
from ..redaction import Redaction
from ..storable import storable
from .receipts import address_of

if t.TYPE_CHECKING:
    from logging import Logger

    from ..recorder import Writable
    from .rejection import Rejected
    from .rejection import Seen
    from .sending import Sender

HOUR = 3600
BETWEEN_SAMPLES = 1.0
"""Seconds for which the sample of a rule stays the last one."""
BETWEEN_LINES = 10.0
"""Seconds in which one rule is told of once in the app's log."""
MOST = 1000
"""How many rules and hours may wait to be stored; what comes on top is not counted."""
SHOWN = 200
"""Characters of a body, and of a header, in a sample."""
LONGEST = 1000
"""Characters of a reason in a line."""

Key = tuple[int, int, str]
"""The hour, the status and the rule."""


class Tally(msgspec.Struct):
    """How many requests were refused alike."""

    count: int
    last_at: float
    sample: str


class Told(msgspec.Struct):
    """When a rule was last told of in the app's log, and how many requests it refused since."""

    at: float
    untold: int


class Rejections(Writer):
    """Counts the refused requests of one app, tells of them, and stores the counts in a thread of its own.

    :param redaction: of what is shown of a body.
    """

    name, interval, longest_rest, idle = "condor-rejections", 1.0, 10.0, 0.0

    def __init__(self, log: Writable, logger: Logger, redaction: Redaction) -> None:
        self._log = log
        self._logger = logger
        self._redaction = redaction
        super().__init__()

    def forget(self) -> None:
        super().forget()
        self._tallies: dict[Key, Tally] = {}
        self._told: dict[tuple[int, str], Told] = {}

    @property
    def is_waiting(self) -> bool:
        return bool(self._tallies)

    def add(self, rejected: Rejected, seen: Seen, why: str) -> None:
        """Count that the current request was refused; never waits for the database.

        :param why: for whoever runs the app, without what was sent.
        """
        now = time.time() + travel.ahead
        key = int(now // HOUR * HOUR), rejected.status, rejected.rule
        with self._adding:
            known = self._tallies.get(key)
            sample = known.sample if known and now - known.last_at < BETWEEN_SAMPLES else None
        sample = sample or self._sample_of(seen, why)
        with self._adding:
            self._count(key, Tally(1, now, sample))
            untold = self._count_untold(rejected)
            if self._thread is None:
                self._start_thread()
        if untold is not None:
            self._tell(rejected, seen.sender, why, untold)

    def _sample_of(self, seen: Seen, why: str) -> str:
        sample: dict[str, t.Any] = {
            "address": address_of(request),
            "path": short(request.path),
            "type": short(request.headers.get("Content-Type", "")),
            "size": request.content_length,
            "detail": short(why),
        }
        if seen.sender is not None:
            sample["sender"] = seen.sender.name
        for one in seen.incoming[:1]:
            sample["event"] = one.name
            sample["body"] = short(msgspec.json.encode(self._redaction.of(one.payload)).decode())
        return msgspec.json.encode(sample).decode()

    def _count(self, key: Key, tally: Tally) -> None:
        known = self._tallies.get(key)
        if known is not None:
            newer = max(known, tally, key=lambda one: one.last_at)
            self._tallies[key] = Tally(known.count + tally.count, newer.last_at, newer.sample)
        elif len(self._tallies) < MOST:
            self._tallies[key] = tally

    def _count_untold(self, rejected: Rejected) -> int | None:
        """Return how many are to be told of now, beside this one; None when it is too soon for a line."""
        now, rule = time.monotonic(), (rejected.status, rejected.rule)
        told = self._told.setdefault(rule, Told(-BETWEEN_LINES, 0)) if len(self._told) < MOST else Told(now, 0)
        if now - told.at < BETWEEN_LINES:
            told.untold += 1
            return None
        untold, told.untold, told.at = told.untold, 0, now
        return untold

    def _tell(self, rejected: Rejected, sender: Sender | None, why: str, untold: int) -> None:
        tell(
            self._logger,
            "request_refused",
            "a request from %s to %s was refused with %d (%s): %s%s",
            address_of(request),
            request.path,
            rejected.status,
            rejected.rule,
            why[:LONGEST],
            f" And {untold} more for that rule since it was last told of." if untold else "",
            status=rejected.status,
            rule=rejected.rule,
            address=address_of(request),
            sender=sender and sender.name,
        )

    def flush(self, timeout: float = 5.0) -> bool:
        """Store what was counted, in this thread; return whether that could be done.

        :param timeout: seconds to wait for a write in progress.
        """
        if not self._writing.acquire(timeout=timeout):
            return False
        try:
            with self._adding:
                tallies, self._tallies = self._tallies, {}
            return not tallies or self._store(tallies)
        finally:
            self._writing.release()

    def _store(self, tallies: dict[Key, Tally]) -> bool:
        try:
            with self._log.begin("refused requests are not counted yet") as connection:
                upsert(connection, tallies)
        except CondorError:  # the database is away; the requests that need it tell so
            with self._adding:
                for key, tally in tallies.items():
                    self._count(key, tally)
            return False
        return True

    def close(self) -> None:
        """Store what can be stored before the process ends."""
        self.flush()


def short(text: str) -> str:
    return str(plain(storable(text[:SHOWN])))[:SHOWN]


def upsert(connection: Connection, tallies: dict[Key, Tally]) -> None:
    """Add *tallies* to what is stored; every transaction takes the rows in one order, so none blocks another."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    adding = insert(rejections)
    adding = adding.on_conflict_do_update(
        index_elements=list(rejections.primary_key.columns),
        set_={
            "count": rejections.c.count + adding.excluded.count,
            "last_at": adding.excluded.last_at,
            "sample": adding.excluded.sample,
        },
    )
    names, bus = rejections.columns.keys(), bus_of(connection)
    rows = [
        (bus, *key, tally.count, tally.last_at, tally.sample)
        for key, tally in sorted(tallies.items(), key=lambda item: item[0])
    ]
    connection.execute(adding, [dict(zip(names, row, strict=True)) for row in rows])
