"""The recording: notes, as cheaply as it can, how the runs of one fire end; the recorder makes rows of it later."""

from __future__ import annotations

import marshal
import time
import typing as t
from collections.abc import Callable

import msgspec

from .errors import shorten_repr
from .event import Event
from .event import Origin
from .logged_lines import LARGEST as LARGEST_LOGGED
from .logged_lines import LoggedLines
from .storable import Failure
from .storable import describe_error

if t.TYPE_CHECKING:
    from logging import LogRecord

    from .job import Run

    Entry = tuple[str, Run]
    """What a run is recorded under: the job's path, and its run word."""

LARGEST = 256 * 1024
"""Bytes of a payload or a result beyond which only the beginning of its ``repr`` is kept."""
SHOWN = 1000
"""Characters of such a ``repr``."""


class Json(str):
    """The JSON of a value, which gives it back."""


Kept = bytes | Json | str
"""A value as it was: a copy by marshal, which never leaves the process; or its JSON; else its ``repr``."""

_clock = time.perf_counter


class Note(msgspec.Struct, frozen=True, gc=False):
    """What is to be told of a run beside its time."""

    result: Kept | None
    failure: Failure | None
    noted_at: float

    @property
    def error(self) -> str | None:
        """The text of the error."""
        return None if self.failure is None else self.failure.text


class Recording(msgspec.Struct, eq=False, gc=False):
    """One fire of an event, or one run of a job of it that was put off.

    Garbage collection passes it by, as it does what it holds: it leads to no cycle once the recorder has written it.

    :param add: takes it once all its steps have ended.
    :param awaits_event: whether the event itself is written by another: by the outbox, in a transaction that may yet
        be rolled back, and an event whose id is there would not be queued again; or by the recording of its fire.
    :param entries: under what each step is recorded; None for a step that is not a run of a job.
    """

    add: Callable[[Recording], None]
    id: str
    name: str
    made_at: float
    origin: Origin | None
    payload: Kept
    is_orphan: bool
    awaits_event: bool
    entries: tuple[Entry | None, ...]
    wall: float
    """The time of day at which the clock of the steps stood at zero."""
    began: float
    size: int
    ends: list[float]
    notes: dict[int, Note]
    """By the number of the step."""
    logged: dict[int, LoggedLines] | None = None
    """Likewise, what was logged, if anything."""

    def hear(self, record: LogRecord) -> None:
        """Keep what the step that is running has logged."""
        self.logged = {} if self.logged is None else self.logged
        step = len(self.ends)
        if step not in self.logged:
            self.logged[step] = LoggedLines()
            self.size += LARGEST_LOGGED
        self.logged[step].add(record)

    def note(self, result: object, error: BaseException | None) -> None:
        """Note how the next step ended: what it returned, or the error that it raised."""
        self.ends.append(_clock())
        if result is not None or error is not None:
            self._note_more(result, error)
        if len(self.ends) == len(self.entries):
            self.add(self)

    def stop(self, error: BaseException) -> None:
        """Note that *error* ended the step that was running, and all that would have followed."""
        if len(self.ends) < len(self.entries):
            self.entries = self.entries[: len(self.ends) + 1]
            self.note(None, error)

    def _note_more(self, result: object, error: BaseException | None) -> None:
        kept = None if result is None else keep(result)
        told = None if error is None else describe_error(error)
        self.size += len(kept or "") + (0 if told is None else len(told.text))
        self.notes[len(self.ends) - 1] = Note(kept, told, _clock())


def start_recording(
    event: Event[t.Any],
    entries: tuple[Entry | None, ...],
    add: Callable[[Recording], None],
    is_orphan: bool,
    awaits_event: bool,
    json: str | None = None,
) -> Recording:
    """Keep *event* as it is now, before a job can change its payload, and return what is told how its runs end."""
    payload = keep(event.payload) if json is None or len(json) > LARGEST else Json(json)
    began = _clock()
    recording = Recording(
        add,
        event.id,
        event.name,
        event._made_at,
        event._origin,
        payload,
        is_orphan,
        awaits_event,
        entries,
        time.time() - began,
        began,
        len(payload),
        [],
        {},
    )
    if not entries:
        add(recording)
    return recording


def keep(value: t.Any) -> Kept:
    """Return a copy of *value* that no job can change; never raises, as what was fired may be anything."""
    try:
        copied = marshal.dumps(value)
        if len(copied) <= LARGEST:
            return copied
    except (ValueError, MemoryError):
        pass
    return shorten_repr(value, SHOWN)
