"""The appetite of a worker: when it claims, how much, and with what a claimed delivery may share its hands."""

from __future__ import annotations

import time
import typing as t

from msgspec import structs

from .claims import ANY
from .claims import Catch
from .claims import Claim
from .claims import Pair
from .claims import Wish
from .claims import claim
from .claims import find_strangers
from .claims import next_due
from .deliveries import leave_alone_no_more
from .lanes import Lanes
from .lanes import find_lanes

if t.TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from .attempt import Attempts
    from .hands import Hands
    from .log import Log

LANES = 0.5
"""Seconds for which the lanes, and pauses, that were found are used while there is work in them."""
LOOK = 5.0
"""Seconds after which is looked for due deliveries though no bell rang."""
PASSED = 60.0
"""Seconds for which a worker does not look again at the many of a paused event that it has passed by."""
SOLITUDE = 2
"""The attempt up to which a delivery that was lost is kept from others for its first second only."""
PATIENCE = 2.0
"""Seconds to wait for empty hands before a delivery that was lost in its first attempt is taken all the same."""
LONGEST_PATIENCE = 8.0
"""Seconds after which one that was lost in a later attempt is; until then others go on without it."""


class Appetite:
    """Claims for one worker, named *worker*, what its *hands* can hold."""

    def __init__(self, worker: str, hands: Hands, attempts: Attempts) -> None:
        self._worker = worker
        self._hands = hands
        self._attempts = attempts
        self._lanes = Lanes()
        self._lanes_at = self._passed_at = 0.0
        self._alone: Claim | None = None
        self._emptying: float | None = None
        self.is_there_more = True
        """Whether something may be due."""
        self.due_at = 0.0
        """When something will be due, by the monotonic clock."""

    def wake(self) -> None:
        """Look for due deliveries at the next turn."""
        self.is_there_more = True

    def expect(self, wait: float) -> None:
        """Look for due deliveries in *wait* seconds too."""
        self.due_at = min(self.due_at, time.monotonic() + wait)
        self.is_there_more = self.is_there_more or wait <= 0

    def count(self) -> int:
        """Return how many deliveries to claim now."""
        now = time.monotonic()
        self.is_there_more = self.is_there_more or now >= self.due_at
        if not self._hands:
            self._alone = self._emptying = None
        elif self._alone is not None or (self._emptying is not None and self._boldness() == 0):
            return 0
        return self._hands.room() if self.is_there_more else 0

    def claim(self, connection: Connection, count: int) -> Catch:
        """Claim at most *count*."""
        now = time.monotonic()
        catch = Catch([], [], is_all=True)
        if now - self._lanes_at < LANES:
            catch = self._claim(connection, count)
        if catch.is_all and not catch.claims:
            self._attempts.look_up()
            self._find_lanes(connection, now)
            catch = self._claim(connection, count)
        if catch.is_all:
            wait = next_due(connection, self._lanes.open)
            self.due_at = now + (LOOK if wait is None else min(wait, LOOK))
        return catch

    def strangers(self, connection: Connection) -> list[Pair]:
        """Return what is due and waits for a worker that knows it."""
        return find_strangers(connection, self._lanes.open, self._attempts.pairs)

    def take(self, catch: Catch) -> None:
        """Put what was claimed in hand, once the claim is committed."""
        self.is_there_more = not catch.is_all
        if catch.wants_empty_hands:
            self._emptying = time.monotonic()
        elif self._boldness() == ANY:
            self._emptying = None
        if catch.is_alone and catch.claims:
            self._alone = catch.claims[0]
        self._hands.take(catch.claims, lambda one: self._attempts.rules_of(one).timeout)

    def end_solitude(self, log: Log) -> None:
        """Let others beside the one that is alone in hand; its loss is then no sign, and it is not counted."""
        alone = self._alone
        if alone is None or alone.attempt > SOLITUDE or not self._hands.has_held(alone, 1.0):
            return
        with log.begin() as connection:
            leave_alone_no_more(connection, alone, self._worker)
        alone.worker, self._alone = self._worker, None

    def _claim(self, connection: Connection, count: int) -> Catch:
        wish = Wish(
            worker=self._worker,
            count=count,
            lanes=self._lanes,
            pairs=self._attempts.pairs,
            is_idle=not self._hands,
            bold=self._boldness(),
        )
        return claim(connection, wish)

    def _find_lanes(self, connection: Connection, now: float) -> None:
        """Find the lanes anew, and keep what was passed in them for a while, as long as the same events are paused."""
        lanes, before = find_lanes(connection), self._lanes
        self._lanes_at = now
        if lanes.paused == before.paused and now - self._passed_at < PASSED:
            self._lanes = structs.replace(lanes, passed=before.passed)
        else:
            self._lanes, self._passed_at = lanes, now

    def _boldness(self) -> int:
        waited = 0.0 if self._emptying is None else time.monotonic() - self._emptying
        return 0 if waited <= PATIENCE else 1 if waited <= LONGEST_PATIENCE else ANY
