"""The drops: counts the records that the recorder had to give up, and tells of them now and then."""

from __future__ import annotations

import time
import typing as t
from threading import Lock

from .line import tell

if t.TYPE_CHECKING:
    from logging import Logger

BETWEEN_WARNINGS = 5.0
"""Seconds."""


class Drops:
    """What one recorder has dropped since it last told of it."""

    def __init__(self, logger: Logger) -> None:
        self._logger = logger
        self._count = 0
        self._unawaited = 0
        self._told_at = 0.0
        self._counting = Lock()

    def add(self, count: int = 1, *, unawaited: bool = False) -> None:
        """Count records that were dropped.

        :param unawaited: whether it was for their event, which was not committed in time.
        """
        with self._counting:
            self._count += count
            self._unawaited += count if unawaited else 0

    def tell(self, *, at_once: bool = False) -> None:
        """Warn of those counted, when the last warning was some time ago, or *at_once*."""
        if not self._count or not (at_once or time.monotonic() - self._told_at > BETWEEN_WARNINGS):
            return
        with self._counting:
            count, self._count = self._count, 0
            unawaited, self._unawaited = self._unawaited, 0
        self._told_at = time.monotonic()
        causes = ["the event log cannot keep up, or is away"] if count > unawaited else []
        if unawaited:
            causes.append(f"the event of {unawaited} was rolled back, or is not committed yet")
        sentence = "the runs of %d events were not recorded: %s."
        tell(
            self._logger,
            "records_dropped",
            sentence,
            count,
            "; ".join(causes),
            dropped=count,
            unawaited=unawaited,
        )
