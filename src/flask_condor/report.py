"""What a worker tells in its log: a line for each run, and its totals when it ends."""

from __future__ import annotations

import logging
import typing as t
from collections import Counter
from collections.abc import Sequence

from .claims import Pair
from .deliveries import Outcome
from .deliveries import Reaped

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
            self.counts[outcome.kind] += 1
            self._ended(outcome)

    def reaped(self, reaped: Sequence[Reaped]) -> None:
        """Tell which deliveries were taken back from workers that were lost."""
        for one in reaped:
            logger.log(
                logging.ERROR if one.is_dead else logging.WARNING,
                "job %s of event %s: its worker was lost in attempt %d; %s (delivery %d)",
                one.job,
                one.name,
                one.attempt,
                "dead now" if one.is_dead else "it is run again",
                one.id,
                extra={"action": "delivery_reaped", "delivery_id": one.id, "event_name": one.name, "job": one.job},
            )

    def strangers(self, pairs: Sequence[Pair]) -> None:
        """Tell, once for each, which jobs of deliveries are not registered here."""
        for name, job in pairs:
            if (name, job) not in self._told:
                self._told.add((name, job))
                logger.warning(
                    "job %s is not registered for event %s here: its deliveries wait for a worker that knows it."
                    " Was it renamed, or is it of a newer release?",
                    job,
                    name,
                    extra={"action": "job_unknown", "event_name": name, "job": job},
                )

    @property
    def summary(self) -> str:
        """The totals, in one line."""
        runs, done = sum(self.counts.values()), self.counts["done"]
        return f"{runs} runs: {done} done, {self.counts['failed']} to be tried again, {self.counts['dead']} dead"

    def totals(self, interrupted: int) -> None:
        """Tell how many runs there were, and how many of what still ran were given back."""
        given_back = f"; {interrupted} interrupted and given back" if interrupted else ""
        logger.info("the worker ends after %s%s", self.summary, given_back, extra={"action": "worker_ended"})

    def _ended(self, outcome: Outcome) -> None:
        claim = outcome.claim
        if outcome.kind == "done":
            if logger.isEnabledFor(logging.INFO):
                logger.info(
                    "job %s of event %s done in %.3f s (delivery %d, attempt %d)",
                    claim.job,
                    claim.event.name,
                    outcome.seconds,
                    claim.id,
                    claim.attempt,
                    extra=extra_of("job_done", claim),
                )
            return
        first, _, rest = (outcome.error or "").partition("\n")
        is_dead = outcome.kind == "dead"
        logger.log(
            logging.ERROR if is_dead else logging.WARNING,
            "job %s of event %s failed: %s; %s (delivery %d, attempt %d)%s",
            claim.job,
            claim.event.name,
            first,
            "dead now" if is_dead else f"tried again in {outcome.wait:.0f} s",
            claim.id,
            claim.attempt,
            f"\n{rest}" if rest and (is_dead or self._debug) else "",
            extra=extra_of("job_dead" if is_dead else "job_failed", claim),
        )

    def _refused(self, outcome: Outcome) -> None:
        claim = outcome.claim
        logger.warning(
            "job %s of event %s: its lease was lost while it ran, and another worker may have run it:"
            " this outcome (%s) is not written (delivery %d, attempt %d)",
            claim.job,
            claim.event.name,
            outcome.kind,
            claim.id,
            claim.attempt,
            extra=extra_of("finish_refused", claim),
        )


def extra_of(action: str, claim: t.Any) -> dict[str, t.Any]:
    return {
        "action": action,
        "delivery_id": claim.id,
        "attempt": claim.attempt,
        "event_id": claim.event.id,
        "event_name": claim.event.name,
        "job": claim.job,
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
