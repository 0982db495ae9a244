"""Payloads that are models of pydantic, which is there when somebody else has imported it."""

from __future__ import annotations

import sys
import typing as t
from collections.abc import Iterator

import msgspec


def is_model(kind: object) -> bool:
    """Tell whether *kind* is a model of pydantic; pydantic is not imported to know it."""
    pydantic = sys.modules.get("pydantic.main")
    return pydantic is not None and isinstance(kind, type) and issubclass(kind, pydantic.BaseModel)


def model_from(kind: t.Any, value: object) -> t.Any:
    """Return *value*, a dict, as what msgspec cannot make: a model of pydantic's; as it is for any other *kind*."""
    return kind.model_validate(value) if is_model(kind) else value


def model_from_json(kind: t.Any, value: object) -> t.Any:
    """Return the same, of a *value* that was read from JSON: where a strict model takes a text for a datetime."""
    return kind.model_validate_json(msgspec.json.encode(value)) if is_model(kind) else value


def builtins_from(value: t.Any) -> t.Any:
    """Return what JSON holds of *value*, which msgspec does not know.

    :raises NotImplementedError: when it is no model.
    """
    if is_model(type(value)):
        return value.model_dump(mode="json", by_alias=True)
    raise NotImplementedError


def errors_of_model(kind: t.Any, value: object) -> Iterator[tuple[tuple[int | str, ...], bool, object, str]]:
    """Find what is wrong with *value* as the model *kind*: where, whether it is missing, what it is, and why."""
    try:
        kind.model_validate(value)
    except ValueError as error:
        refusal: t.Any = error
        for one in refusal.errors(include_url=False):
            yield one["loc"], one["type"] == "missing", one["input"], one["msg"]
