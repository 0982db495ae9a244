"""The payload type of a typed name: what it lets through at ``fire``, and how a payload of it goes through JSON."""

from __future__ import annotations

import dataclasses
import math
import typing as t
from collections.abc import Callable

import msgspec
from msgspec import inspect

from .errors import CondorError
from .errors import PayloadNotSerializable
from .errors import shorten
from .errors import shorten_repr
from .event import Event
from .event import replace_payload
from .faults import Fault
from .faults import PayloadInvalid
from .faults import convert
from .faults import faults_in
from .models_of_pydantic import builtins_from
from .models_of_pydantic import is_model
from .models_of_pydantic import model_from_json
from .payload import DEEPEST
from .payload import advice
from .payload import from_json
from .payload import to_json

_encode = msgspec.json.Encoder(enc_hook=builtins_from).encode

Check = Callable[..., None]
"""Called as ``check(event, ctx)``, it raises for a payload that is not of the type."""


class PayloadTypeInvalid(CondorError, TypeError):
    """An ``EventName`` has a payload type that no payload can be checked against."""

    def __init__(self, name: str, kind: object, why: str) -> None:
        super().__init__(
            f"event {name!r} has the payload type {kind!r}, which cannot be checked: {why}."
            " Use a dataclass, TypedDict, msgspec.Struct, attrs class, pydantic model, or such as dict[str, int]."
        )


class PayloadType:
    """Checks the payloads of one event name.

    What is an instance of a declared class is let through as it is, and of any other type what needs no conversion;
    else the event's payload becomes what the type says, such as a dataclass of the dict that was fired.

    :raises PayloadTypeInvalid: for a type that msgspec does not know.
    """

    def __init__(self, name: str, kind: t.Any) -> None:
        self.name = name
        self.kind = kind
        try:
            self._decode = msgspec.json.Decoder(kind, dec_hook=model_from_json).decode
            self._is_plain = is_plain(inspect.type_info(kind), [])
        except (TypeError, NameError, ValueError) as error:
            raise PayloadTypeInvalid(name, kind, shorten(error)) from error

        self.check = self._check_of_plain() if self._is_plain else self._check_of_others()
        """Makes sure, as the first call of a plan, that an event's payload is what the type says, or makes it so."""

    def _check_of_plain(self) -> Check:
        # msgspec takes a struct apart once, and a TypedDict each time (3 µs); a hook costs as much as the check
        box, as_box = msgspec.defstruct("Box", [("payload", self.kind)], array_like=True, gc=False), msgspec.convert

        def check(event: Event[t.Any], ctx: object = None) -> None:
            try:
                as_box((event.payload,), box)
            except (msgspec.ValidationError, RecursionError):
                self._refuse(event.payload)

        return check

    def _check_of_others(self) -> Check:
        instances = instances_of(self.kind)

        def check(event: Event[t.Any], ctx: object = None) -> None:
            payload = event.payload
            if not isinstance(payload, instances):
                made = self._make(payload)
                if made != payload:
                    replace_payload(event, made)

        return check

    def _make(self, payload: t.Any) -> t.Any:
        try:
            return convert(payload, self.kind)
        except (msgspec.ValidationError, RecursionError):
            self._refuse(payload)

    def _refuse(self, payload: object) -> t.NoReturn:
        raise PayloadInvalid(self.name, faults_in(payload, self.kind)) from None

    def to_json(self, payload: t.Any) -> str:
        """Return *payload* as JSON text from which :meth:`from_json` gives an equal payload of the declared type.

        :raises PayloadNotSerializable: naming the path of the first value that JSON would change or cannot hold.
        :raises PayloadInvalid: for an instance of the type whose fields are not what it says.
        """
        if self._is_plain:
            return to_json(payload)
        try:
            text = _encode(payload).decode()
            back = self.from_json(text)
        except Exception:
            refuse_unsuitable(payload)
            raise
        refuse_difference(payload, back)
        return text

    def from_json(self, text: str) -> t.Any:
        """Return the payload that :meth:`to_json` gave *text* for, or what such a dict from elsewhere stands for.

        :raises PayloadInvalid: when it is not, or no longer, of this type.
        """
        if self._is_plain:
            payload = from_json(text)
            self._make(payload)
            return payload
        try:
            return self._decode(text)
        except msgspec.ValidationError as error:
            faults = faults_in(from_json(text), self.kind) or [Fault("payload", f"is wrong: {shorten(error)}")]
            raise PayloadInvalid(self.name, faults) from None


NEVER_INSTANCES = ("builtins", "collections", "collections.abc", "typing")
"""Modules of classes that say nothing of what is in an instance."""


def instances_of(kind: t.Any) -> type | tuple[()]:
    """Return the class whose instances need no look; none for a type that is only a shape, such as a TypedDict."""
    made = t.get_origin(kind) or kind
    if not isinstance(made, type) or t.is_typeddict(made) or made.__module__ in NEVER_INSTANCES:
        return ()
    return made


Whole = (
    inspect.AnyType
    | inspect.NoneType
    | inspect.BoolType
    | inspect.IntType
    | inspect.FloatType
    | inspect.StrType
    | inspect.LiteralType
)


def is_plain(info: inspect.Type, above: list[object]) -> bool:
    """Tell whether a value of the type stands for itself: dicts, lists and what JSON has a word for."""
    if isinstance(info, Whole) or info in above:
        return True
    if isinstance(info, inspect.CustomType):
        return not is_model(info.cls)
    inner = types_in(info)
    return inner is not None and all(is_plain(one, [*above, info]) for one in inner)


def types_in(info: inspect.Type) -> list[inspect.Type] | None:
    if isinstance(info, inspect.TypedDictType):
        return [field.type for field in info.fields]
    if isinstance(info, inspect.DictType) and isinstance(info.key_type, inspect.AnyType | inspect.StrType):
        return [info.value_type]
    if isinstance(info, inspect.ListType):
        return [info.item_type]
    if isinstance(info, inspect.Metadata):
        return [info.type]
    return list(info.types) if isinstance(info, inspect.UnionType) else None


def parts_of(value: t.Any, path: str) -> dict[str, t.Any] | None:
    """Return what *value* is made of, by paths; None for a value that is a whole."""
    if isinstance(value, dict):
        return {f"{path}[{key!r}]": item for key, item in value.items()}
    if isinstance(value, list | tuple):
        return {f"{path}[{index}]": item for index, item in enumerate(value)}
    names = names_in(value)
    return None if names is None else {f"{path}.{name}": getattr(value, name) for name in names}


def names_in(value: t.Any) -> list[str] | None:
    if isinstance(value, msgspec.Struct):
        return list(value.__struct_fields__)
    if dataclasses.is_dataclass(value):
        return [field.name for field in dataclasses.fields(value)]
    if attributes := getattr(type(value), "__attrs_attrs__", None):
        return [attribute.name for attribute in attributes]
    return list(vars(value)) if is_model(type(value)) else None


def refuse_unsuitable(value: t.Any, path: str = "payload", depth: int = 0) -> None:
    """Go through *value*, and raise for the first part that JSON cannot hold."""
    if depth > DEEPEST:
        raise PayloadNotSerializable(path, type(value), f"nested more than {DEEPEST} deep, or contains itself")
    if isinstance(value, float) and not math.isfinite(value):
        raise PayloadNotSerializable(path, value, "which JSON has no word for: pass None or a str")
    for where, item in (parts_of(value, path) or {}).items():
        refuse_unsuitable(item, where, depth + 1)
    try:
        _encode(value)
    except UnicodeEncodeError as error:
        raise PayloadNotSerializable(path, value, "a text with half a character (a lone surrogate)") from error
    except Exception as error:  # whatever the serializer of a foreign type raises
        raise PayloadNotSerializable(path, value, f"a {type(value).__name__}: pass {advice(value)}") from error


def refuse_difference(fired: t.Any, back: t.Any, path: str = "payload") -> None:
    """Raise for the first part of what was *fired* that does not come *back* from JSON as it was."""
    inner, others = parts_of(fired, path), parts_of(back, path)
    if type(fired) is type(back) and inner is not None and others is not None and inner.keys() == others.keys():
        for where, item in inner.items():
            refuse_difference(item, others[where], where)
    elif fired != back:
        came = f"{shorten_repr(back, 40)}, a {type(back).__name__}"
        raise PayloadNotSerializable(path, fired, f"a {type(fired).__name__}, which JSON gives back as {came}")
