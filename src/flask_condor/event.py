"""The event: a name, a payload, and where it came from."""

from __future__ import annotations

import os
import typing as t
from copy import copy
from datetime import UTC
from datetime import datetime
from threading import Lock
from time import time

import msgspec
from msgspec.structs import force_setattr

Source = t.Literal["handler", "job", "http", "cli", "app", "replay"]

if t.TYPE_CHECKING:
    from .event_name import Carried
    from .event_name import EventName
    from .event_name import P
    from .event_name import PlainName
    from .event_name import Q
else:
    P = t.TypeVar("P")


class Family:
    """Counts the events that one root event has led to in this process."""

    __slots__ = ("descendants", "root_id")

    def __init__(self, root_id: str = "") -> None:
        self.descendants = 0
        self.root_id = root_id
        """The id of the root event; empty until a job of it fires."""


class Cause(msgspec.Struct, frozen=True):
    """The run of a job that fired an event."""

    event_id: str
    event_name: str
    job: str


class Origin(msgspec.Struct, frozen=True):
    """Where an event came from: who fired it, and the names of the events that led to it, from the root down."""

    source: Source
    cause: Cause | None
    path: tuple[str, ...]
    family: Family
    trace: str | None = None
    """The W3C traceparent of the fire, when the app is traced."""
    subject: str | None = None
    """What it is about, as the CloudEvent said that came in."""


class Event(msgspec.Struct, t.Generic[P], frozen=True, weakref=True, eq=False):
    """Something that happened: ``Event(PASSWORD_CHANGED, {"user": user})``.

    Frozen, compared by identity. One object is one happening: it has one id and one time however often it is fired,
    so make it where you fire it. The payload is handed to the jobs as it is, not copied and not frozen.

    :param name: a constant of ``events/event_names.py``: a text, or an :class:`EventName` that says the payload's type.
    :param payload: any object; by convention a dict with text keys. That of a typed name is checked when it is fired.
    :param id: at most one event of that id is meant to exist; a UUIDv7 when not given.
    """

    name: str
    payload: P = None  # type: ignore[assignment]  # an event without a payload is an Event[None]
    id: str = ""
    _made_at: float = msgspec.field(default_factory=time)
    _origin: Origin | None = None

    if t.TYPE_CHECKING:

        @t.overload
        def __init__(self: Event[Q], name: EventName[Q], payload: Carried[Q], id: str = "") -> None: ...
        @t.overload
        def __init__(
            self,
            name: PlainName,
            payload: P = ...,
            id: str = "",
            _made_at: float = ...,
            _origin: Origin | None = None,
        ) -> None: ...
        def __init__(self, *args: t.Any, **kwargs: t.Any) -> None: ...

    @property
    def type(self) -> str:
        """The name, as the Lumo and tsc.run pages spell it."""
        return self.name

    @property
    def data(self) -> P:
        """The payload, as the Lumo and tsc.run pages spell it."""
        return self.payload

    @property
    def fired_at(self) -> datetime:
        """When the event was made, in UTC, to the microsecond; ``fire(Event(...))`` makes it as it fires it."""
        return datetime.fromtimestamp(self._made_at, UTC)

    @property
    def source(self) -> Source:
        """Who fired it: "handler" (a request), "job", "cli" (a command) or "app" (start-up, a thread)."""
        return self._origin.source if self._origin else "handler"

    @property
    def cause(self) -> Cause | None:
        """The run of the job that fired it, or None for a root event."""
        return self._origin.cause if self._origin else None

    @property
    def depth(self) -> int:
        """1 for a root event, 2 for an event that a job of it fired, and so on."""
        return len(self._origin.path) + 1 if self._origin else 1

    @property
    def is_replay(self) -> bool:
        """Whether this event repeats an older one on demand."""
        return self.source == "replay"

    def __copy__(self) -> Event[P]:
        return type(self)(self.name, self.payload, self.id, self._made_at, self._origin)

    def __reduce__(self) -> tuple[t.Any, ...]:
        return type(self), (self.name, self.payload, self.id, self._made_at, self._origin)

    def __repr__(self) -> str:
        return f"Event({self.name!r}, {self.payload!r})"


_id = vars(Event)["id"]
_making_id = Lock()


def _make_id_on_first_use(event: Event[t.Any]) -> str:
    """A text that no other event has: a UUIDv7 unless the event was made with another."""
    if not _id.__get__(event):
        with _making_id:
            if _id.__get__(event) in ("", None):
                _id.__set__(event, uuid7(event._made_at))
    given: str = _id.__get__(event)
    return given


def _renew_lock_after_fork() -> None:
    global _making_id
    _making_id = Lock()


os.register_at_fork(after_in_child=_renew_lock_after_fork)
Event.id = property(_make_id_on_first_use)  # type: ignore[assignment]  # a field by constructor, made on first use


def uuid7(at: float) -> str:
    """Return a UUID of version 7 (RFC 9562, section 5.7) for the time *at*, in seconds since 1970 UTC.

    48 bits of milliseconds, then 74 random bits of the operating system, so it sorts by time and needs no state that
    a fork could double.
    """
    stamp = int(at * 1000).to_bytes(6, "big")
    bits = bytearray(stamp + os.urandom(10))
    bits[6] = bits[6] & 0x0F | 0x70
    bits[8] = bits[8] & 0x3F | 0x80
    digits = bits.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def originate(event: Event[t.Any], origin: Origin | None) -> None:
    """Write down where *event* came from."""
    force_setattr(event, "_origin", origin)


def replace_payload(event: Event[t.Any], payload: t.Any) -> None:
    """Put what the type of its name makes of it in place of what *event* was fired with."""
    force_setattr(event, "payload", payload)


def root_origin(event: Event[t.Any]) -> Origin:
    """Return where *event* came from, one family for all that follows from it and from its snapshots."""
    if event._origin is None:
        originate(event, Origin("handler", None, (), Family()))
    return t.cast(Origin, event._origin)


def snapshot(event: Event[P]) -> Event[P]:
    """Return the same event with its payload as it is now: a dict, list or set is copied, not what is in it."""
    root_origin(event)
    later = copy(event)
    if type(event.payload) in (dict, list, set):
        force_setattr(later, "payload", copy(event.payload))
    return later
