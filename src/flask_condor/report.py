"""What a worker tells in its log: a line for each run, and its totals when it ends."""

from __future__ import annotations

import logging
import typing as t
from collections import Counter
from collections.abc import Sequence

from .claims import Pair
from .deliveries import Outcome
from .deliveries import Reaped
from .line import ACTIONS
from .line import tell

logger = logging.getLogger("flask_condor.worker")


class Report:
    """Writes the log of one worker.

    :param debug: whether failures are shown with their traceback.
    """

    def __init__(self, *, debug: bool) -> None:
        self._debug = debug
        self.counts: Counter[str] = Counter()
        self._told: set[Pair] = set()

    def outcomes(self, outcomes: Sequence[Outcome], kept: Sequence[Outcome]) -> None:
        """Tell what was written of *outcomes*, and what was refused."""
        if len(kept) < len(outcomes):
            held = {outcome.claim.id for outcome in kept}
            for outcome in outcomes:
                if outcome.claim.id not in held:
                    self._refused(outcome)
        for outcome in kept:
            if outcome.is_parked:
                self._parked(outcome)
                continue
            self.counts[outcome.kind] += 1
            self._ended(outcome)

    def reaped(self, reaped: Sequence[Reaped]) -> None:
        """Tell which deliveries were taken back from workers that were lost."""
        for one in reaped:
            tell(
                logger,
                "delivery_given_up" if one.is_dead else "delivery_reaped",
                "job %s of event %s: its worker was lost in attempt %d; %s (delivery %d)",
                one.job,
                one.name,
                one.attempt,
                "dead now" if one.is_dead else "it is run again",
                one.id,
                event_id=one.event_id,
                event_name=one.name,
                job=one.job,
                delivery_id=one.id,
                attempt=one.attempt,
                worker=one.worker,
                state="dead" if one.is_dead else "pending",
            )

    def strangers(self, pairs: Sequence[Pair]) -> None:
        """Tell, once for each, which jobs of deliveries are not registered here."""
        for name, job in pairs:
            if (name, job) not in self._told:
                self._told.add((name, job))
                tell(
                    logger,
                    "job_unknown",
                    "job %s is not registered for event %s here: its deliveries wait for a worker that knows it."
                    " Was it renamed, or is it of a newer release?",
                    job,
                    name,
                    event_name=name,
                    job=job,
                )

    @property
    def summary(self) -> str:
        """The totals, in one line."""
        runs, done = sum(self.counts.values()), self.counts["done"]
        what = f"{runs} run" if runs == 1 else f"{runs} runs"
        return f"{what}: {done} done, {self.counts['failed']} to be tried again, {self.counts['dead']} dead"

    def totals(self, interrupted: int) -> None:
        """Tell how many runs there were, and how many of what still ran were given back."""
        given_back = f"; {interrupted} interrupted and given back" if interrupted else ""
        tell(
            logger,
            "worker_ended",
            "the worker ends after %s%s",
            self.summary,
            given_back,
            done=self.counts["done"],
            failed=self.counts["failed"],
            dead=self.counts["dead"],
            interrupted=interrupted,
        )

    def _ended(self, outcome: Outcome) -> None:
        claim = outcome.claim
        if outcome.kind == "done":
            if logger.isEnabledFor(ACTIONS["job_done"]):
                tell(
                    logger,
                    "job_done",
                    "job %s of event %s done in %.3f s (delivery %d, attempt %d)",
                    claim.job,
                    claim.event.name,
                    outcome.seconds,
                    claim.id,
                    claim.attempt,
                    **extras_of(outcome),
                )
            return
        first, _, rest = (outcome.error or "").partition("\n")
        is_dead = outcome.kind == "dead"
        tell(
            logger,
            "job_dead" if is_dead else "attempt_failed",
            "job %s of event %s failed: %s; %s (delivery %d, attempt %d)%s",
            claim.job,
            claim.event.name,
            first,
            "dead now" if is_dead else f"tried again in {outcome.wait:.0f} s",
            claim.id,
            claim.attempt,
            f". Once that is mended: flask events retry {claim.id}" if is_dead else "",
            details=rest if is_dead or self._debug else "",
            **extras_of(outcome),
        )

    def _parked(self, outcome: Outcome) -> None:
        claim = outcome.claim
        if (claim.event.name, claim.job) not in self._told:
            self._told.add((claim.event.name, claim.job))
            tell(
                logger,
                "payload_unread",
                "job %s of event %s waits for a worker that can read its payload: %s (delivery %d)",
                claim.job,
                claim.event.name,
                outcome.error,
                claim.id,
                **extras_of(outcome),
            )

    def _refused(self, outcome: Outcome) -> None:
        claim = outcome.claim
        tell(
            logger,
            "finish_refused",
            "job %s of event %s: its lease was lost while it ran, and another worker may have run it:"
            " this outcome (%s) is not written (delivery %d, attempt %d)",
            claim.job,
            claim.event.name,
            outcome.kind,
            claim.id,
            claim.attempt,
            **extras_of(outcome),
        )


def extras_of(outcome: Outcome) -> dict[str, t.Any]:
    claim = outcome.claim
    return {
        "event_id": claim.event.id,
        "event_name": claim.event.name,
        "job": claim.job,
        "delivery_id": claim.id,
        "attempt": claim.attempt,
        "worker": claim.worker,
        "seconds": outcome.seconds,
        "state": "pending" if outcome.kind == "failed" else outcome.kind,
    }


def show_log() -> None:
    """Make the log of this package seen: to stderr, unless the app has set up logging itself."""
    logger = logging.getLogger(__name__.partition(".")[0])
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    if not logger.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("[%(asctime)s] [%(process)d] [%(levelname)s] %(message)s"))
        logger.addHandler(handler)
