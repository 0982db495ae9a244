"""The recording: times the runs of one fire, for the recorder."""

from __future__ import annotations

import time
import typing as t
from collections.abc import Callable
from collections.abc import Sequence

from .records import Record
from .records import RunOfJob
from .records import describe
from .records import describe_error

if t.TYPE_CHECKING:
    from .job import Run

    Entry = tuple[str, Run]
    """What a run is recorded under: the job's path, and its run word."""


class Recording:
    """Times the runs of one fire, one after the other, and hands them on after the last.

    :param add: takes the record once it is whole.
    :param entries: what each step is recorded under; None for a step that is not a run of a job.
    """

    __slots__ = ("_add", "_began", "_entries", "_last", "_record", "_step")

    def __init__(self, add: Callable[[Record], None], record: Record, entries: Sequence[Entry | None]) -> None:
        self._add = add
        self._record = record
        self._entries = entries
        self._step = 0
        self._last = time.perf_counter()
        self._began = time.time() - self._last
        if not entries:
            add(record)

    def note(self, result: object, error: BaseException | None) -> None:
        """Write down how the next step ended: what it returned, or the error that it raised."""
        now = time.perf_counter()
        entry = self._entries[self._step]
        if entry is not None:
            self._record.runs.append(
                RunOfJob(
                    self._record.row["id"],
                    *entry,
                    "done" if error is None else "dead",
                    self._began + self._last,
                    self._began + now,
                    None if error is None else describe_error(error),
                    None if result is None else describe(result)[0],
                )
            )
        self._step += 1
        if self._step == len(self._entries):
            self._add(self._record)
        self._last = time.perf_counter()

    def stop(self, error: BaseException) -> None:
        """Write down that *error* ended the step and all that would have followed."""
        if self._step < len(self._entries):
            self._entries = self._entries[: self._step + 1]
            self.note(None, error)
