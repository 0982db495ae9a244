"""The event name with a payload type: a ``str`` that says what an event of that name carries."""

from __future__ import annotations

import typing as t
from functools import cached_property

from .errors import EventInvalid

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import TypeVar

    from .payload_type import PayloadType

    P = TypeVar("P", default=t.Any)
    Q = TypeVar("Q")

    class PlainName(t.Protocol):
        """A ``str`` that is no :class:`EventName`: of the two only that one needs a type to be made anew."""

        def __getnewargs__(self) -> tuple[str]: ...

    class NameFirst(t.Generic[P]):
        """Nothing is one. With a callable in it, it makes mypy read the name before a dict that is fired with it."""

    Carried: t.TypeAlias = P | NameFirst[Callable[[], P]]
    """A payload of the type that a name carries."""
else:
    P = t.TypeVar("P")


class EventName(str, t.Generic[P]):
    """The name of an event, and the type of its payload: ``USER_REGISTERED = EventName("user.registered", User)``.

    Equal to the same name as plain text. Once it is registered its type holds for every fire of that name, also by
    plain text; before, for those by this object.

    :param payload_type: a dataclass, TypedDict, ``msgspec.Struct``, attrs class or pydantic model, or a type made of
        plain ones such as ``dict[str, int]``.
    """

    payload_type: type[P]

    def __new__(cls, name: str, payload_type: type[P]) -> t.Self:
        if not isinstance(name, str):
            raise EventInvalid(f"an event's name is a str, got {name!r}. Write EventName('user.registered', Type).")
        self = super().__new__(cls, name)
        self.payload_type = payload_type
        return self

    @cached_property
    def checked(self) -> PayloadType:
        """What validates the payload, and brings it through JSON.

        :raises PayloadTypeInvalid: for a type that no payload can be checked against.
        """
        from .payload_type import PayloadType  # which an app without typed names shall not pay

        return PayloadType(str.__str__(self), self.payload_type)

    def __getnewargs__(self) -> tuple[str, type[P]]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]  # so it is no PlainName
        return str.__str__(self), self.payload_type

    def __getstate__(self) -> None:
        """Leave out what is made on first use."""
