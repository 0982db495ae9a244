"""The faults of a payload: every field that is not what its type says, by its path. Looked for only when one is."""

from __future__ import annotations

import types
import typing as t
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from itertools import islice

import msgspec
from msgspec.inspect import CollectionType
from msgspec.inspect import DataclassType
from msgspec.inspect import DictType
from msgspec.inspect import StructType
from msgspec.inspect import TupleType
from msgspec.inspect import TypedDictType
from msgspec.inspect import type_info

from .errors import CondorError
from .errors import shorten_repr
from .models_of_pydantic import errors_of_model
from .models_of_pydantic import is_model
from .models_of_pydantic import model_from

MOST = 100
"""How many faults of one payload are looked for."""
SHOWN = 20
"""How many an error's text tells."""
UNIONS = (t.Union, types.UnionType)


class Fault(msgspec.Struct, frozen=True):
    """One field that is wrong: ``payload.items[2].quantity`` ``is 'two': expected int``."""

    path: str
    what: str

    def __str__(self) -> str:
        return f"{self.path} {self.what}"


class PayloadInvalid(CondorError, ValueError):
    """The payload of an event is not of the type that its name carries; no job has run and nothing is queued.

    ``faults`` holds every wrong field, up to 100, with its path.
    """

    def __init__(self, name: str, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        self._name = name
        told = "; ".join(map(str, self.faults[:SHOWN]))
        more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        super().__init__(f"the payload of event {name!r} is not what its EventName says: {told}{more}.")

    def __reduce__(self) -> tuple[type[PayloadInvalid], tuple[str, tuple[Fault, ...]]]:
        return type(self), (self._name, self.faults)


class Field(t.NamedTuple):
    key: str
    kind: t.Any
    is_required: bool


def convert(value: object, kind: t.Any) -> t.Any:
    """Return *value* as a *kind*, by msgspec or, within it, by pydantic.

    :raises msgspec.ValidationError: telling the first field that is wrong.
    """
    return msgspec.convert(value, kind, dec_hook=model_from, str_keys=True)


def faults_in(value: object, kind: t.Any, path: str = "payload") -> list[Fault]:
    """Return what is wrong with *value* as a *kind*; nothing when it is one."""
    return list(islice(find(value, kind, path), MOST))


def find(value: t.Any, kind: t.Any, path: str) -> Iterator[Fault]:
    try:
        convert(value, kind)
        return
    except RecursionError:
        yield Fault(path, "is nested too deep, or contains itself")
        return
    except msgspec.ValidationError as error:
        message = str(error)
    inner = find_within(value, bare(kind, value), path)
    first = next(inner, None)
    if first is None:
        yield fault_from(message.replace("Expected `object`", f"Expected {shown(kind)}"), value, path)
        return
    yield first
    yield from inner


def find_within(value: t.Any, kind: t.Any, path: str) -> Iterator[Fault]:
    if is_model(kind):
        yield from find_in_model(value, kind, path)
        return
    arguments = t.get_args(kind)
    if isinstance(value, Mapping):
        is_mapping = issubclass_of(t.get_origin(kind), Mapping) and len(arguments) == 2
        yield from find_in_mapping(value, arguments, path) if is_mapping else find_in_fields(value, kind, path)
    elif isinstance(value, list | tuple | set | frozenset) and t.get_origin(kind) not in UNIONS:
        yield from find_in_items(value, kind, path)


def find_in_items(value: t.Collection[t.Any], kind: t.Any, path: str) -> Iterator[Fault]:
    kinds = t.get_args(kind)
    is_row = t.get_origin(kind) is tuple and kinds[-1:] != (...,)
    kinds = kinds if is_row else kinds[:1] * len(value)
    for index, (item, item_kind) in enumerate(zip(value, kinds, strict=False)):
        yield from find(item, item_kind, f"{path}[{index}]")


def find_in_mapping(value: Mapping[t.Any, t.Any], kinds: tuple[t.Any, ...], path: str) -> Iterator[Fault]:
    for key, item in value.items():
        try:
            convert({key: None}, dict[kinds[0], t.Any])  # type: ignore[valid-type]  # a type that is made here
        except msgspec.ValidationError:
            yield Fault(f"{path}[{key!r}]", f"has the wrong key: expected {shown(kinds[0])}")
        yield from find(item, kinds[1], f"{path}[{key!r}]")


def find_in_fields(value: Mapping[t.Any, t.Any], kind: t.Any, path: str) -> Iterator[Fault]:
    fields = fields_of(kind)
    info = type_info(kind)
    if isinstance(info, StructType) and info.forbid_unknown_fields:
        known = {info.tag_field, *(field.key for field in fields)}
        yield from (Fault(f"{path}.{key}", f"is no field of {shown(kind)}") for key in value if key not in known)
    for field in fields:
        if field.key in value:
            yield from find(value[field.key], field.kind, f"{path}.{field.key}")
        elif field.is_required:
            yield Fault(f"{path}.{field.key}", f"is missing: expected {shown(field.kind)}")


def find_in_model(value: object, kind: t.Any, path: str) -> Iterator[Fault]:
    for where, is_missing, found, message in errors_of_model(kind, value):
        steps = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in where)
        what = "is missing" if is_missing else f"is {shorten_repr(found, 40)}: {lowered(message)}"
        yield Fault(f"{path}{steps}", what)


def bare(kind: t.Any, value: object) -> t.Any:
    """Return *kind* without what is said about it, and of ``X | None`` the X, of other unions the one meant."""
    while (origin := t.get_origin(kind)) in (t.Annotated, t.Required, t.NotRequired, *UNIONS):
        members = [member for member in t.get_args(kind) if member is not types.NoneType]
        if origin in UNIONS:
            members = [member for member in members if len(members) == 1 or may_be(member, value)]
            if value is None or len(members) != 1:
                return kind
        kind = members[0]
    return kind


def may_be(kind: t.Any, value: object) -> bool:
    """Tell whether *value* is meant as the member *kind* of a union: that of its shape, and with its tag, if any."""
    info = type_info(kind)
    if not isinstance(value, Mapping):
        return isinstance(value, list) and isinstance(info, CollectionType | TupleType)
    if isinstance(info, StructType) and info.tag_field is not None:
        return value.get(info.tag_field) == info.tag
    return isinstance(info, StructType | TypedDictType | DataclassType | DictType)


def issubclass_of(kind: object, base: type) -> bool:
    return isinstance(kind, type) and issubclass(kind, base) and not t.is_typeddict(kind)


def fields_of(kind: t.Any) -> list[Field]:
    info = type_info(kind)
    if not isinstance(info, StructType | TypedDictType | DataclassType):
        return []
    origin = t.get_origin(kind) or kind
    hints = t.get_type_hints(origin, include_extras=True)
    given = dict(zip(getattr(origin, "__parameters__", ()), t.get_args(kind), strict=False))
    fields = {field.name: field for field in info.fields}
    in_order = [(fields[name], hint) for name, hint in hints.items() if name in fields]
    return [Field(field.encode_name, filled(without_need(hint), given), field.required) for field, hint in in_order]


def filled(hint: t.Any, given: Mapping[t.Any, t.Any]) -> t.Any:
    """Return *hint* with the types that a generic class is *given* in place of its variables."""
    if hint in given:
        return given[hint]
    inner = getattr(hint, "__parameters__", ())
    return hint[tuple(given.get(one, one) for one in inner)] if inner and t.get_origin(hint) else hint


def without_need(hint: t.Any) -> t.Any:
    while t.get_origin(hint) in (t.Required, t.NotRequired):
        hint = t.get_args(hint)[0]
    return hint


def shown(kind: t.Any) -> str:
    return kind.__name__ if isinstance(kind, type) and not t.get_args(kind) else str(kind).replace("typing.", "")


def fault_from(message: str, value: object, path: str) -> Fault:
    """Return the fault of which msgspec tells ``Expected `int`, got `str` - at `$.within```."""
    message, _, within = message.partition(" - at `$")
    expected, is_expected, got = message.partition(", got ")
    if within:
        return Fault(path + within.rstrip("`"), f"is wrong: {lowered(message)}")
    return Fault(path, f"is {shorten_repr(value, 40)}: {lowered(expected if is_expected else message)}")


def lowered(message: str) -> str:
    message = message.replace("`", "")
    return message[:1].lower() + message[1:]
