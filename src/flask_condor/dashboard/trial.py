"""The trial: the form with which a test event is fired, made of the schema of a payload, and what was typed in it."""

from __future__ import annotations

import json
import math
import re
import typing as t
from collections.abc import Mapping

import msgspec

from ..asyncapi import SCHEMAS
from ..asyncapi import payloads_of
from ..edited import PayloadWrong
from ..edited import parsed

if t.TYPE_CHECKING:
    from ..registry import Registry

Json = dict[str, t.Any]
Kind = t.Literal["text", "integer", "number", "choice"]
DEEPEST = 8
LONGEST_NUMBER = 40
"""Characters."""
NEEDED: dict[Kind, str] = {
    "text": "text",
    "integer": "whole number, needed",
    "number": "number, needed",
    "choice": "needed",
}
WHOLE = re.compile(r"-?\d+", re.ASCII)
PREFIX = "field."
"""What the names of the inputs begin with."""


class Schema(msgspec.Struct, frozen=True):
    """What JSON Schema says of the payloads of one name."""

    whole: Json
    parts: Json
    """The schemas that it refers to, by name."""

    @classmethod
    def of(cls, registry: Registry, name: str) -> Schema:
        """Return that of a registered name."""
        payloads, parts = payloads_of([name], registry)
        return cls(payloads[name], parts)

    @property
    def shown(self) -> Json:
        """Itself and its parts, in one object."""
        return self.followed(self.whole) | ({"components": {"schemas": self.parts}} if len(self.parts) > 1 else {})

    def followed(self, schema: Json) -> Json:
        """Return what *schema* refers to, or itself."""
        for _ in range(DEEPEST):
            if "$ref" not in schema:
                break
            schema = self.parts.get(schema["$ref"].removeprefix(SCHEMAS), {})
        return schema

    def bare(self, schema: Json) -> tuple[Json, bool]:
        """Return *schema* without null as a choice, and whether it was one."""
        schema = self.followed(schema)
        others = [self.followed(one) for one in schema.get("anyOf", ())]
        without = [one for one in others if one.get("type") != "null"]
        return (without[0], True) if len(without) == 1 < len(others) else (schema, False)


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """One field of the form."""

    key: str
    kind: Kind
    choices: list[str] = []
    """As JSON."""
    is_required: bool
    is_nullable: bool
    default: str

    @property
    def name(self) -> str:
        return PREFIX + self.key

    @property
    def hint(self) -> str:
        """What is taken when it stays empty, in words."""
        if self.is_required:
            return "empty: null" if self.is_nullable else NEEDED[self.kind]
        return f"empty: left out, {self.default}" if self.default else "empty: left out"

    def value_from(self, typed: str) -> t.Any:
        """Return what was *typed* as a value; ``UNSET`` for what is to be left out.

        :raises PayloadWrong: for what is none of its kind.
        """
        if typed == "" and not self.is_required:
            return msgspec.UNSET
        if typed == "" and self.is_nullable:
            return None
        if self.kind == "text":
            return typed
        if self.kind != "choice":
            return number_from(self.key, typed.strip(), is_whole=self.kind == "integer")
        if typed not in self.choices:
            raise PayloadWrong(f"{self.key} is none of {', '.join(self.choices)}: choose one.")
        return json.loads(typed)


def number_from(key: str, typed: str, *, is_whole: bool) -> int | float:
    if is_whole and not WHOLE.fullmatch(typed):
        raise PayloadWrong(f"{key} is {typed[:40]!r}, and must be a whole number such as 42.")
    try:
        value = parsed(typed) if len(typed) <= LONGEST_NUMBER else None
    except PayloadWrong:
        value = None
    if type(value) is int or (type(value) is float and math.isfinite(value)):
        return value
    raise PayloadWrong(f"{key} is {typed[:40]!r}, and must be a number such as 4.2.")


def inputs_of(schema: Schema) -> list[Input] | None:
    """Return a field for each key of an object that has nothing nested in it; None for any other payload."""
    whole = schema.followed(schema.whole)
    if whole.get("type") != "object" or "properties" not in whole:
        return None
    required = whole.get("required", ())
    found = [input_of(schema, key, one, is_required=key in required) for key, one in whole["properties"].items()]
    return None if None in found else t.cast("list[Input]", found)


def input_of(schema: Schema, key: str, given: Json, *, is_required: bool) -> Input | None:
    one, is_nullable = schema.bare(given)
    kinds: dict[str, Kind] = {"string": "text", "integer": "integer", "number": "number", "boolean": "choice"}
    values = one.get("enum", [one["const"]] if "const" in one else [False, True])
    has_choices = one.get("type") == "boolean" or "enum" in one or "const" in one
    kind: Kind | None = "choice" if has_choices else kinds.get(str(one.get("type")))
    if kind is None:
        return None
    return Input(
        key=key,
        kind=kind,
        choices=[json.dumps(value) for value in values] if has_choices else [],
        is_required=is_required,
        is_nullable=is_nullable,
        default=json.dumps(given["default"]) if "default" in given else "",
    )


def payload_from(inputs: list[Input], form: Mapping[str, str]) -> tuple[Json, list[str]]:
    """Return the payload that was typed into a form, and what is wrong with it."""
    payload: Json = {}
    faults: list[str] = []
    for one in inputs:
        try:
            value = one.value_from(form.get(one.name, ""))
        except PayloadWrong as error:
            faults.append(str(error))
            continue
        if value is not msgspec.UNSET:
            payload[one.key] = value
    return payload, faults


def example_of(schema: Schema, given: Json | None = None, depth: int = 0) -> t.Any:
    """Return a payload of the right shape, to be filled in."""
    given = schema.whole if given is None else given
    one, is_nullable = schema.bare(given)
    if "default" in given:
        return given["default"]
    if is_nullable or depth > DEEPEST:
        return None
    if "enum" in one:
        return one["enum"][0]
    if one.get("type") == "object":
        return example_of_object(schema, one, depth)
    empty: Json = {"string": "", "integer": 0, "number": 0, "boolean": False, "array": []}
    return one["const"] if "const" in one else empty.get(str(one.get("type")), {})


def example_of_object(schema: Schema, one: Json, depth: int) -> Json:
    properties: Json = one.get("properties", {})
    required: t.Iterable[str] = one.get("required", properties)
    return {key: example_of(schema, part, depth + 1) for key, part in properties.items() if key in required}
