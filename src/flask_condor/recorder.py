"""The recorder: writes down in the background, in batches, what ran in this process; no request waits for it."""

from __future__ import annotations

import time
import typing as t
from collections import deque
from collections.abc import Container
from collections.abc import Sequence

from sqlalchemy.exc import DataError
from sqlalchemy.exc import IntegrityError
from sqlalchemy.exc import NotSupportedError
from sqlalchemy.exc import ProgrammingError

from .background import Writer
from .bus import bus_of
from .drops import Drops
from .errors import CondorError
from .errors import EventIdTaken
from .errors import shorten
from .errors import shorten_repr
from .line import tell
from .recording import Recording
from .recording import start_recording
from .records import record_of
from .records import write
from .redacting import redaction_of

if t.TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from logging import Logger

    from sqlalchemy.engine import Connection

    from .event import Event
    from .recording import Entry

    class Writable(t.Protocol):
        def begin(self, what: str = ...) -> AbstractContextManager[Connection]: ...


MOST = 10_000
"""How many records may wait; what comes on top is dropped."""
LARGEST = 32 * 1024 * 1024
"""How many characters of payloads, results and errors may wait; likewise."""
BATCH = 1000
"""How many records one transaction writes."""
PATIENCE = 60.0
"""Seconds for which runs wait for their event, as when the transaction that it was queued in is still open."""
REFUSALS = (DataError, IntegrityError, NotSupportedError, ProgrammingError)
"""What a database says of a value; PostgreSQL also by a state of class 54, when it is too large for an index."""


class Recorder(Writer):
    """Writes the records of one app to its log, in a thread that each process starts when it first has one.

    Its memory is bounded: while the database is away for long, or slower than the app, records are dropped, counted
    and told of in the app's log. It gives up nothing else until the process ends; a killed one loses what it ran in
    the last 0.2 s.
    """

    name, interval, longest_rest, idle = "condor-recorder", 0.2, 2.0, 5.0

    def __init__(self, log: Writable, logger: Logger) -> None:
        self._log = log
        self._logger = logger
        self._is_away = False
        super().__init__()

    def forget(self) -> None:
        super().forget()
        self._waiting: deque[Recording] = deque()
        self._size = 0
        self._drops = Drops(self._logger)
        self._in_hand: list[Recording] = []
        self._suspects = 0
        """How many of those in hand are written one by one, as one of them was refused."""

    @property
    def is_waiting(self) -> bool:
        return bool(self._waiting or self._in_hand)

    def start(
        self,
        event: Event[t.Any],
        entries: tuple[Entry | None, ...],
        *,
        is_orphan: bool,
        awaits_event: bool,
        payload: str | None = None,
    ) -> Recording:
        """Return what is to be told how the runs of *event* end; see :class:`Recording`.

        :param payload: as JSON, where that is known to give it back.
        """
        return start_recording(event, entries, self.add, is_orphan, awaits_event, payload)

    def add(self, recording: Recording) -> None:
        """Take *recording* to be written; never waits for the database, and never raises."""
        with self._adding:
            if len(self._waiting) >= MOST or self._size > LARGEST:
                self._drops.add()
                return
            self._waiting.append(recording)
            self._size += recording.size
            if self._thread is None:
                self._start_thread()

    @property
    def unwritten(self) -> int:
        """How many events have runs that are not written yet."""
        return len(self._in_hand) + len(self._waiting)

    def flush(self, timeout: float = 5.0) -> bool:
        """Write what waits, in this thread; return whether all of it was written.

        :param timeout: seconds after which no further batch is begun.
        """
        until = time.monotonic() + timeout
        if not self._writing.acquire(timeout=timeout):
            return False
        try:
            left = self.unwritten
            while left > 0 and time.monotonic() <= until:
                written = self._write_some()
                if not written:
                    return False
                left -= written
            return left <= 0
        finally:
            self._drops.tell()
            self._writing.release()

    def close(self) -> None:
        """Write what can be written before the process ends, and tell what could not."""
        if self.flush():
            self.flush()  # those whose event came after them
        with self._adding:
            left = [recording for recording in (*self._in_hand, *self._waiting) if not recording.awaits_event]
            self._drops.add(len(left))
            self._in_hand.clear()
            self._waiting.clear()
        self._drops.tell(at_once=True)

    def _write_some(self) -> int:
        """Write one batch, or a part of it, and return how many records it was; 0 while the database is away."""
        if not self._in_hand:
            self._take()
        batch = self._in_hand[:1] if self._suspects else self._in_hand[:]
        try:
            with self._log.begin("what ran is not recorded yet") as connection:
                bus, redaction = bus_of(connection), redaction_of(connection)
                early = write(connection, [record_of(recording, bus, redaction) for recording in batch])
        except Exception as error:  # the border of the thread: whatever went wrong, later records can be written
            return self._meet(error, batch)
        if self._is_away:
            self._is_away = False
            tell(self._logger, "recorder_back", "the event log is back; what ran meanwhile is written down now")
        self._put_away(batch)
        self._wait_for_commit(batch, early)
        return len(batch)

    def _take(self) -> None:
        with self._adding:
            count = min(BATCH, len(self._waiting))
            self._in_hand = [self._waiting.popleft() for _ in range(count)]
            self._size -= sum(recording.size for recording in self._in_hand)

    def _put_away(self, batch: Sequence[Recording]) -> None:
        del self._in_hand[: len(batch)]
        self._suspects = max(0, self._suspects - len(batch))

    def _wait_for_commit(self, batch: Sequence[Recording], early: Container[str]) -> None:
        patient_since = time.perf_counter() - PATIENCE
        for recording in batch:
            if not recording.awaits_event or recording.id not in early:
                continue
            if recording.began > patient_since:
                self.add(recording)
            else:
                self._drops.add(unawaited=True)

    def _meet(self, error: Exception, batch: Sequence[Recording]) -> int:
        if is_outage(error):
            if not self._is_away:
                self._is_away = True
                tell(self._logger, "recorder_away", "%s What ran is kept for later, up to %d events.", error, MOST)
            return 0
        if len(batch) > 1:
            self._suspects = len(batch)
            return self._write_some()
        self._put_away(batch)
        tell(
            self._logger,
            "record_refused",
            "the runs of event %s could not be recorded: %s; they are missing from the history",
            shorten_repr(batch[0].name),
            shorten(error),
            event_id=batch[0].id,
            event_name=batch[0].name,
        )
        return 1


def is_outage(error: Exception) -> bool:
    """Tell whether the database failed, and not one record in it.

    It has, too, when PostgreSQL finds no such table, or gives no right to it (class 42): every record would be refused.
    """
    cause = error.__cause__
    state = getattr(getattr(cause, "orig", None), "sqlstate", None) or ""
    is_refusal = isinstance(error, EventIdTaken) or isinstance(cause, REFUSALS) or state.startswith("54")
    return isinstance(error, CondorError) and (state.startswith("42") or not is_refusal)
