"""An attempt: one run of a claimed delivery's job, turned into an outcome whatever the job does."""

from __future__ import annotations

import os
import time
import typing as t
from collections.abc import Collection

import msgspec

from .claims import PARKED
from .claims import Claim
from .claims import Pair
from .context import Delivery
from .deliveries import Outcome
from .errors import CondorError
from .errors import EventLoop
from .errors import shorten_repr
from .faults import PayloadInvalid
from .job import Rules
from .logged_lines import LoggedLines
from .logged_lines import gathered
from .logged_lines import watch_records
from .payload import to_json
from .retry import AttemptFailed
from .rows import event_from
from .storable import Failure
from .storable import describe_error
from .storable import storable

if t.TYPE_CHECKING:
    from .job import Job
    from .manager import EventsManager

LONGEST_RESULT = 65_536
"""Characters of JSON; of a longer result its shortened ``repr`` is kept."""


class Attempts:
    """Runs the jobs of claims, for one app.

    :param replaceable: whether this process may be ended and replaced by its supervisor.
    """

    def __init__(self, manager: EventsManager, *, replaceable: bool) -> None:
        self._manager = manager
        self._home = os.getcwd()
        self._pid = os.getpid()
        self._marker = Marker() if replaceable else None
        self._jobs: dict[Pair, Job] = {}
        self._logged: dict[Claim, LoggedLines] = {}
        watch_records()
        self.look_up()

    @property
    def pairs(self) -> Collection[Pair]:
        """The event names and jobs that this app knew when :meth:`look_up` was called last."""
        return self._jobs.keys()

    def look_up(self) -> None:
        """Take note of what is registered now."""
        registry = self._manager.registry
        pairs = {(name, job.path) for name, jobs in registry.jobs.items() for job in jobs}
        found = {pair: registry.job_named(*pair) for pair in pairs}
        self._jobs = {pair: job for pair, job in found.items() if job is not None}

    def rules_of(self, claim: Claim) -> Rules:
        """Return the rules by which the job of *claim* is run."""
        return self._rules_of((claim.event.name, claim.job))

    def _rules_of(self, pair: Pair) -> Rules:
        job = self._jobs.get(pair)
        return job.rules if job else Rules()

    def run(self, claim: Claim) -> Outcome:
        """Run the job, and return what came of it; only a child that the job forked does not return."""
        with gathered() as lines:
            self._logged[claim] = lines
            try:
                outcome = self._run(claim)
            finally:
                del self._logged[claim]
        return with_lines(outcome, lines)

    def _run(self, claim: Claim) -> Outcome:
        began = time.perf_counter()
        try:
            result, error = as_json(self._call(claim)), None
        except BaseException as raised:  # noqa: B036  # the job border: a SystemExit too is a failed attempt
            result, error = None, raised
        if os.getpid() != self._pid:
            os._exit(0)
        self._tidy()
        seconds = time.perf_counter() - began
        if error is None:
            return Outcome(claim, "done", seconds, result)
        if isinstance(error, Unread):
            return Outcome(claim, "failed", seconds, failure=error.failure, wait=PARKED, is_parked=True)
        if isinstance(error, EventLoop) or (isinstance(error, AttemptFailed) and error.is_final):
            return Outcome(claim, "dead", seconds, failure=describe_error(error))
        return put_off(self.failed(claim, seconds, describe_error(error)), error)

    def failed(self, claim: Claim, seconds: float, failure: Failure) -> Outcome:
        """Return the outcome of an attempt that failed: to be tried again, or dead."""
        rules = self.rules_of(claim)
        if rules.at_most_once or claim.attempt >= rules.retry.max_attempts:
            return Outcome(claim, "dead", seconds, failure=failure)
        return Outcome(claim, "failed", seconds, failure=failure, wait=rules.retry.wait_after(claim.attempt))

    def overrun(self, claim: Claim, seconds: float, failure: Failure) -> Outcome:
        """Return the outcome of an attempt that still runs and is given up, with what it has logged so far."""
        return with_lines(self.failed(claim, seconds, failure), self._logged.get(claim))

    def lost_for_good(self, pair: Pair, attempt: int, losses: int, *, alone: bool) -> bool:
        """Tell whether a delivery whose worker was lost is dead: its job may have killed that worker.

        It is when it was alone in its hands, was started ``max_attempts`` times, and ended half of these so.
        """
        rules = self._rules_of(pair)
        most = rules.retry.max_attempts
        return rules.at_most_once or (alone and attempt >= most and losses * 2 >= most)

    @property
    def queues(self) -> tuple[str, ...]:
        """The queues that this app's jobs are registered for."""
        return tuple(sorted({job.rules.queue for job in self._jobs.values() if job.run == "queued"}))

    def _call(self, claim: Claim) -> t.Any:
        job = self._jobs.get((claim.event.name, claim.job))
        if job is None:
            raise JobGone(f"job {claim.job} of event {claim.event.name!r} was unregistered after it was claimed")
        try:
            event = event_from(claim.event, self._manager.registry.typed_names.from_json)
        except PayloadInvalid as error:
            raise Unread(describe_error(error)) from error
        return self._manager.run_delivery(event, job, Delivery(claim.id, claim.attempt))

    def _tidy(self) -> None:
        """Undo what the job did to the process, or end it when its files are not what they were.

        Nothing can be written then: SQLite might write into what another file's number stands for now.
        """
        if self._marker and not self._marker.stands():
            os._exit(1)
        if os.getcwd() != self._home:
            os.chdir(self._home)


def with_lines(outcome: Outcome, lines: LoggedLines | None) -> Outcome:
    text = None if lines is None else lines.text
    return outcome if text is None else msgspec.structs.replace(outcome, lines=text)


def put_off(outcome: Outcome, error: BaseException) -> Outcome:
    """Return *outcome* with the wait that *error* asks for, when the rule's is shorter."""
    if outcome.kind != "failed" or not isinstance(error, AttemptFailed):
        return outcome
    return msgspec.structs.replace(outcome, wait=max(outcome.wait, error.wait))


class JobGone(CondorError, LookupError):
    """A job was unregistered between the claim and the run."""


class Unread(CondorError):
    """A stored payload is not of the type that this release has for its event."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.text)
        self.failure = failure


class Marker:
    """An open file of ours: where it is gone, a job has closed files that were not its own."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        self._inode = os.fstat(self._reader).st_ino

    def stands(self) -> bool:
        """Tell whether it is open still."""
        try:
            return os.fstat(self._reader).st_ino == self._inode
        except OSError:
            return False


def as_json(result: object) -> str | None:
    """Return what is stored of a job's return value: its JSON, or that of its shortened ``repr``; None for None."""
    if result is None:
        return None
    try:
        text = to_json(result)
    except CondorError:
        return to_json(storable(shorten_repr(result)))
    return text if len(text) <= LONGEST_RESULT else to_json(storable(shorten_repr(result)))
