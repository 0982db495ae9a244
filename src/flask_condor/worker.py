"""The worker: claims the deliveries that are due, runs their jobs in threads, and writes down what came of them."""

from __future__ import annotations

import logging
import time
import typing as t

from .appetite import Appetite
from .attempt import Attempts
from .bell import bell_of
from .bulk_worker import BulkWorker
from .database import explained
from .deliveries import Outcome
from .deliveries import finish
from .deliveries import heartbeat
from .deliveries import reap
from .deliveries import release
from .deliveries import take_back
from .errors import LogUnavailable
from .errors import SchemaMismatch
from .hands import Hands
from .line import tell
from .log import clock
from .plan import Plan
from .presence import Presence
from .presence import be_seen
from .presence import sign_in
from .presence import sign_out
from .report import Report
from .storable import Failure
from .upkeep import Upkeep
from .waits import add_waits

if t.TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from .claims import Claim
    from .manager import EventsManager

HEARTBEAT = 4.0
"""Seconds between two renewals of all leases."""
SWEEP = 5.0
"""Seconds between two looks for leases that ran out."""
UPKEEP = 1.0
RETRY = 0.5
"""Seconds between two tries to reach a database that is gone."""
SURPLUS = 1.0
"""Seconds after which a claimed delivery that found no free thread is given back."""
HELD_UP = 4.0
"""Seconds beyond which two turns show that the database was locked, or the machine stood still: leases ran out then."""
CLOCK_STEP = 1.0
"""Seconds by which the database's clock must have been set for leases not to be trusted."""

logger = logging.getLogger(__name__)


class Worker:
    """Runs deliveries of one app until it is told to end."""

    def __init__(self, manager: EventsManager, plan: Plan) -> None:
        self._log = manager.log
        self._queueing = manager.queueing
        self._plan = plan
        self._attempts = Attempts(manager, replaceable=plan.replaceable)
        with explained("the worker cannot start"):
            self._bell = bell_of(self._log.engine)
        self._hands = Hands(plan.threads, self._run, self._bell.wake)
        self._presence = Presence.here(plan.threads, self._attempts.queues)
        self._appetite = Appetite(self._presence.id, self._hands, self._attempts)
        self._report = Report(debug=manager.app.debug)
        self._upkeep = Upkeep(manager)
        self._bulk = BulkWorker(manager, self._presence.id)
        self._asked: float | None = None
        self._until: float | None = None
        self.is_broken = False
        """Whether a job of it hangs."""
        self._unwritten: list[Outcome] = []
        self._unreleased: list[Claim] = []
        self._down: float | None = None
        self._clock_offset: float | None = None
        self._is_patient = False
        self._left = plan.left
        now = time.monotonic()
        self._turn_at = self._turn_before = now
        self._beat_at, self._upkeep_at = now + HEARTBEAT, now
        self._sweep_at = now if plan.once or plan.left else now + SWEEP

    @property
    def id(self) -> str:
        """The name by which it claims."""
        return self._presence.id

    @property
    def is_stuck(self) -> bool:
        """Whether jobs still run in threads of it, so that the process has to be ended by force."""
        return self.is_broken or len(self._hands) > 0

    @property
    def summary(self) -> str:
        """How many runs there were, and how they ended."""
        return self._report.summary

    def end(self, grace: float | None = None) -> None:
        """Claim nothing more, and end when what runs is done; may be called in a signal handler."""
        self._asked = self._plan.grace if grace is None else grace
        self._bell.wake()

    def open(self) -> None:
        """Make sure that the event log can be used; a database that is down is waited for by :meth:`run`.

        :raises CondorError: when it never can: its tables are of another version, it is of an unknown kind.
        """
        try:
            with self._log.begin() as connection:
                sign_in(connection, self._presence)
        except SchemaMismatch:
            raise
        except LogUnavailable as error:
            if self._plan.once:
                raise
            self._lose_database(error)

    def run(self) -> None:
        """Run deliveries until :meth:`end` is called, a job hangs, or with ``once`` nothing is due."""
        try:
            while not self._is_over():
                self._turn()
        finally:
            self._leave()

    def _run(self, claim: Claim) -> Outcome:
        self._plan.on_begin(claim.id)
        return self._attempts.run(claim)

    def _is_over(self) -> bool:
        is_empty = not (len(self._hands) or self._unwritten or self._unreleased)
        if self._until is not None:
            return is_empty or time.monotonic() > self._until
        return self._plan.once and is_empty and not (self._appetite.is_there_more or self._bulk.is_busy)

    def _turn(self) -> None:
        self._turn_before, self._turn_at = self._turn_at, time.monotonic()
        self._plan.alive()
        if self._asked is not None:
            self._begin_to_end(self._asked)
        self._end_hung()
        try:
            self._keep_up()
            self._exchange()
        except LogUnavailable as error:
            if self._plan.once:
                raise
            self._lose_database(error)
            return
        self._find_database()
        if self._count() == 0 and not self._is_over() and self._bell.wait(self._rest()):
            self._appetite.wake()
            self._bulk.wake()

    def _count(self) -> int:
        return self._appetite.count() if self._until is None else 0

    def _rest(self) -> float:
        """Return how long nothing has to be done, in seconds, unless the bell rings."""
        soonest = min(self._beat_at, self._sweep_at, self._upkeep_at, self._appetite.due_at)
        limits = [grip.began + grip.limit for grip in self._hands.grips if grip.limit and grip.began]
        return max(0.001, min(soonest, *limits, self._until or soonest) - time.monotonic())

    def _begin_to_end(self, grace: float) -> None:
        self._asked = None
        until = time.monotonic() + grace
        self._until = until if self._until is None else min(until, self._until)
        self._unreleased += self._hands.withdraw()

    def _end_hung(self) -> None:
        """Fail the attempts whose jobs take too long; as a thread cannot be ended, its process is."""
        for grip in self._hands.hung():
            self._hands.give_up(grip.claim)
            seconds = time.monotonic() - t.cast(float, grip.began)
            text = f"the job ran for longer than its timeout of {grip.limit:g} s, and is given up"
            self._unwritten.append(self._attempts.overrun(grip.claim, seconds, Failure("JobTimeout", "", text)))
            self.is_broken = True
            self._begin_to_end(self._plan.grace)

    def _keep_up(self) -> None:
        now = time.monotonic()
        if now >= self._beat_at:
            with self._log.begin() as connection:
                heartbeat(connection, [*self._hands.claims, *(outcome.claim for outcome in self._unwritten)])
                be_seen(connection, self._presence)
                self._write_waits(connection)
            self._beat_at = now + HEARTBEAT
        if now >= self._sweep_at:
            self._sweep()
            self._sweep_at = now + SWEEP
        if now >= self._upkeep_at:
            self._upkeep.tick()
            if self._until is None and self._bulk.tick():
                self._appetite.wake()
            self._appetite.end_solitude(self._log)
            self._unreleased += self._hands.withdraw(SURPLUS)
            self._upkeep_at = now + UPKEEP

    def _write_waits(self, connection: Connection) -> None:
        add_waits(connection, [(one.queue, one.waited + seconds) for one, seconds in self._hands.begun()])

    def _sweep(self) -> None:
        """Take back what was lost; after a hold-up, or when the clock was set, all are to renew their leases first."""
        self._appetite.wake()
        with self._log.begin() as connection:
            offset = clock(connection) - time.monotonic()
            before, self._clock_offset = self._clock_offset, offset
            if before is not None and abs(offset - before) > CLOCK_STEP:
                self._beat_at = 0.0
                return
            if self._lets_others_go_first():
                return
            for left in self._left:
                take_back(connection, left)
            reaped = reap(connection, self._attempts)
        self._left = ()
        self._report.reaped(reaped)
        if not self._hands:
            self._tell_strangers()

    def _lets_others_go_first(self) -> bool:
        """Tell whether this worker was held up, as others were perhaps too; not twice in a row."""
        self._is_patient = not self._is_patient and time.monotonic() - self._turn_before > HELD_UP
        return self._is_patient

    def _tell_strangers(self) -> None:
        with self._log.read() as connection:
            strangers = self._appetite.strangers(connection)
        self._report.strangers(strangers)

    def _exchange(self) -> None:
        """Give outcomes for claims, in one transaction."""
        self._unwritten += self._hands.collect()
        count = self._count()
        if not (count or self._unwritten or self._unreleased):
            return
        catch = None
        with self._log.begin() as connection:
            if self._unreleased:
                release(connection, self._unreleased, started=False)
            if count:
                catch = self._appetite.claim(connection, count)
            kept = finish(connection, self._unwritten) if self._unwritten else []
        outcomes, self._unwritten, self._unreleased = self._unwritten, [], []
        if catch is not None:
            self._appetite.take(catch)
            self._report.strangers(catch.strangers)
        self._report.outcomes(outcomes, kept)
        for outcome in kept:
            self._plan.on_run(outcome)
            if outcome.kind == "failed":
                self._appetite.expect(outcome.wait)

    def _lose_database(self, error: LogUnavailable) -> None:
        if self._down is None:
            self._down = time.monotonic()
            tell(logger, "log_lost", "%s The worker claims nothing and keeps trying.", error, worker=self._presence.id)
        self._sweep_at = time.monotonic() + SWEEP
        time.sleep(RETRY)

    def _find_database(self) -> None:
        if self._down is None:
            return
        seconds = time.monotonic() - self._down
        text = "the event log is back after %.0f s; the worker goes on"
        tell(logger, "log_found", text, seconds, worker=self._presence.id, seconds=seconds)
        self._down = None
        self._appetite.wake()

    def _leave(self) -> None:
        """Give back what still runs, so that it runs elsewhere at once, and sign out."""
        self._bulk.end()
        interrupted = self._hands.claims
        once = [one for one in interrupted if self._attempts.rules_of(one).at_most_once]
        ended = Failure("WorkerEnded", "", "the worker ended while the job ran, and it is to run at most once")
        self._unwritten += self._hands.collect()
        self._unwritten += [Outcome(one, "dead", 0.0, failure=ended) for one in once]
        try:
            with self._log.begin() as connection:
                release(connection, self._unreleased, started=False)
                release(connection, [one for one in interrupted if one not in once], started=True)
                sign_out(connection, self._presence)
                self._write_waits(connection)
                kept = finish(connection, self._unwritten)
            self._report.outcomes(self._unwritten, kept)
            if self._plan.once:
                self._tell_strangers()
        except LogUnavailable as error_of_log:
            text = "%s What this worker had in hand runs again when its lease runs out."
            tell(logger, "left_without_log", text, error_of_log, worker=self._presence.id)
        self._report.totals(len(interrupted) - len(once))
        self._queueing.flush()
        self._bell.close()
        self._hands.close()
