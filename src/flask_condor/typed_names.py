"""The typed names of an app: which payload type each registered name has, whoever fires it."""

from __future__ import annotations

import typing as t

from .errors import CondorError
from .event_name import EventName
from .payload import from_json
from .payload import to_json

if t.TYPE_CHECKING:
    from .event import Event
    from .payload_type import PayloadType


class EventTypedTwice(CondorError, ValueError):
    """One event name was registered with two payload types."""

    def __init__(self, name: str, kinds: tuple[t.Any, t.Any], places: tuple[str, str]) -> None:
        first, second = (getattr(kind, "__qualname__", None) or repr(kind) for kind in kinds)
        super().__init__(
            f"event {name!r} is registered with the payload type {first} at {places[0]}, and with {second} at"
            f" {places[1]}. Define its EventName once, in events/event_names.py, and import it from there."
        )


class TypedNames:
    """The payload types of one app, by event name; an untyped name is not among them."""

    def __init__(self) -> None:
        self._declared: dict[str, tuple[PayloadType, str]] = {}

    def declare(self, name: EventName[t.Any], where: str) -> PayloadType:
        """Let the type of *name* hold for every fire of that name.

        :raises EventTypedTwice: when the name has another type already.
        :raises PayloadTypeInvalid: for a type that no payload can be checked against.
        """
        kind, at = self._declared.setdefault(str.__str__(name), (name.checked, where))
        if kind.kind != name.payload_type:
            raise EventTypedTwice(kind.name, (kind.kind, name.payload_type), (at, where))
        return kind

    def get(self, name: str) -> PayloadType | None:
        """Return the type that payloads of *name* have: that of its registration, else what *name* itself carries."""
        declared = self._declared.get(name)
        if declared is not None:
            return declared[0]
        return name.checked if isinstance(name, EventName) else None

    def check(self, event: Event[t.Any]) -> None:
        """Make sure that the payload of *event* is what its name says, or make it so.

        :raises PayloadInvalid: when it cannot be.
        """
        kind = self.get(event.name)
        if kind is not None:
            kind.check(event)

    def to_json(self, event: Event[t.Any]) -> str:
        """Return the payload of *event* as JSON text.

        :raises PayloadNotSerializable: naming the path of the first value that JSON would change or cannot hold.
        """
        kind = self.get(event.name)
        return to_json(event.payload) if kind is None else kind.to_json(event.payload)

    def to_json_or_none(self, event: Event[t.Any]) -> str | None:
        """Return the same for an event of a typed name, when JSON can hold its payload."""
        kind = self.get(event.name)
        if kind is None:
            return None
        try:
            return kind.to_json(event.payload)
        except CondorError:
            return None

    def from_json(self, name: str, text: str) -> t.Any:
        """Return the payload of an event *name* that :meth:`to_json` gave *text* for, of the type that it has now.

        :raises PayloadInvalid: when it is not of that type.
        """
        kind = self.get(name)
        return from_json(text) if kind is None else kind.from_json(text)
