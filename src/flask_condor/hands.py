"""The hands of a worker: the thread pool that runs what was claimed, and what it has in hand."""

from __future__ import annotations

import time
import typing as t
from collections import deque
from collections.abc import Callable
from collections.abc import Iterable
from concurrent.futures import Future
from concurrent.futures import ThreadPoolExecutor

import msgspec

if t.TYPE_CHECKING:
    from .claims import Claim
    from .deliveries import Outcome

MOST = 200
"""Deliveries in hand at most, unless there are more threads."""
AHEAD = 0.1
"""Seconds of work to claim ahead for each thread."""
SLOW = 0.2
"""Seconds after which a job that still runs counts as slow: its thread is not counted on."""


class Grip(msgspec.Struct, eq=False):
    """A claim in hand."""

    claim: Claim
    taken: float
    limit: float | None = None
    """Seconds that the job may take."""
    future: Future[None] | None = None
    began: float | None = None
    """When its job began, by the monotonic clock; None while it waits for a thread."""


class Hands:
    """Runs claims in *threads* threads, and keeps their outcomes until they are collected.

    :param run: runs one claim and returns its outcome, whatever happens.
    :param wake: called, from any thread, when there is something to collect that should not wait.
    """

    def __init__(self, threads: int, run: Callable[[Claim], Outcome], wake: Callable[[], None]) -> None:
        self._threads = threads
        self._run = run
        self._wake = wake
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="condor")
        self._held: dict[int, Grip] = {}
        self._outcomes: deque[tuple[Grip, Outcome]] = deque()
        self._begun: deque[tuple[Claim, float]] = deque()
        self._pace: float | None = None

    def __len__(self) -> int:
        return len(self._held)

    @property
    def grips(self) -> list[Grip]:
        return list(self._held.values())

    @property
    def claims(self) -> list[Claim]:
        return [grip.claim for grip in self._held.values()]

    def take(self, claims: Iterable[Claim], limit_of: Callable[[Claim], float | None]) -> None:
        """Run *claims* as soon as threads are free."""
        for claim in claims:
            grip = self._held[claim.id] = Grip(claim, time.monotonic(), limit_of(claim))
            grip.future = self._pool.submit(self._do, grip)

    def room(self) -> int:
        """Return how many more to claim now: what the threads can begin soon, judging by the last jobs.

        Nothing while much is in hand, so that claims are large when jobs are short.
        """
        now = time.monotonic()
        left = len(self._held) - len(self._outcomes)
        if self._pace is None or self._pace > AHEAD:
            return max(0, self._threads - left)
        slow = sum(grip.began is not None and now - grip.began > SLOW for grip in self.grips)
        each = min(max(1, MOST // self._threads), max(1, int(AHEAD / max(self._pace, 1e-6))))
        most = (self._threads - slow) * each
        waiting = left - slow
        return most - waiting if waiting <= most // 2 else 0

    def collect(self) -> list[Outcome]:
        """Return the outcomes since the last time, save those of claims that were given up."""
        outcomes = []
        while self._outcomes:
            grip, outcome = self._outcomes.popleft()
            if self._held.get(grip.claim.id) is grip:
                del self._held[grip.claim.id]
                outcomes.append(outcome)
                seconds = min(outcome.seconds, 1.0)
                self._pace = seconds if self._pace is None else 0.9 * self._pace + 0.1 * seconds
        return outcomes

    def begun(self) -> list[tuple[Claim, float]]:
        """Return the claims whose jobs began since the last time, and for how many seconds each waited for a thread."""
        return [self._begun.popleft() for _ in range(len(self._begun))]

    def hung(self) -> list[Grip]:
        """Return what has run for longer than its job may."""
        now = time.monotonic()
        return [g for g in self.grips if g.limit is not None and g.began is not None and now - g.began > g.limit]

    def has_held(self, claim: Claim, seconds: float) -> bool:
        """Tell whether *claim* is in hand, and has been for so long."""
        grip = self._held.get(claim.id)
        return grip is not None and grip.claim is claim and time.monotonic() - grip.taken > seconds

    def withdraw(self, waited: float = 0.0) -> list[Claim]:
        """Take back the claims whose jobs have not begun, when one of them has waited so many seconds."""
        waiting = [grip for grip in self.grips if grip.began is None]
        if not any(time.monotonic() - grip.taken >= waited for grip in waiting):
            return []
        back = [grip.claim for grip in waiting if grip.future is not None and grip.future.cancel()]
        for claim in back:
            del self._held[claim.id]
        return back

    def give_up(self, claim: Claim) -> None:
        """Forget *claim*: what its job still gives is not asked for."""
        self._held.pop(claim.id, None)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _do(self, grip: Grip) -> None:
        grip.began = time.monotonic()
        self._begun.append((grip.claim, grip.began - grip.taken))
        try:
            self._outcomes.append((grip, self._run(grip.claim)))
        except BaseException:  # out of memory, say: no longer held, its lease runs out and it is run again
            self.give_up(grip.claim)
            raise
        if len(self._held) - len(self._outcomes) <= max(self._threads, MOST // 2):
            self._wake()
