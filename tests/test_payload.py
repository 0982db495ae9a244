"""The payload as JSON: what comes back is what went in, and what would not is refused by its path."""

from __future__ import annotations

from collections import OrderedDict
from collections import namedtuple
from dataclasses import dataclass
from datetime import UTC
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

import pytest
from flask_condor.errors import PayloadNotSerializable
from flask_condor.payload import DEEPEST
from flask_condor.payload import from_json
from flask_condor.payload import to_json

Pair = namedtuple("Pair", "x y")


class Colour(StrEnum):
    RED = "red"


class Name(str):
    pass


@dataclass
class User:
    name: str = "Ada"


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def containing_itself() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "payload",
    [
        None,
        True,
        0,
        -(2**63),
        2**63 - 1,
        0.1,
        -0.0,
        1e308,
        5e-324,
        1.0,
        "",
        "line\r\nend\u2028\x00\U0001f600",
        [],
        {},
        {"": None, "a.b": [1, {"c": [True, None, "x"]}]},
        nested(DEEPEST),
    ],
    ids=lambda payload: repr(payload)[:30],
)
def test_a_payload_comes_back_equal_and_of_the_same_type(payload: Any) -> None:
    back = from_json(to_json(payload))

    assert repr(back) == repr(payload)


@pytest.mark.parametrize(
    ("payload", "path", "why"),
    [
        ({1, 2}, "payload", "a set: pass a list of the same"),
        ((1, 2), "payload", "a tuple: pass a list of the same"),
        ({"user": User()}, "payload['user']", "a User: pass its id, or a dict"),
        ({"a": [0, {"b": datetime(2030, 1, 1, tzinfo=UTC)}]}, "payload['a'][1]['b']", "isoformat"),
        ([b"x"], "payload[0]", "a bytes"),
        ([Decimal("1.1")], "payload[0]", "a Decimal"),
        ([UUID(int=0)], "payload[0]", "a UUID"),
        ([Colour.RED], "payload[0]", "a plain str"),
        ([Name("x")], "payload[0]", "a plain str"),
        ([Pair(1, 2)], "payload[0]", "a list of the same"),
        ([OrderedDict(a=1)], "payload[0]", "a plain dict"),
        ([1 + 2j], "payload[0]", "a complex"),
        ({"n": 2**63}, "payload['n']", "64 bits"),
        ({"n": -(2**63) - 1}, "payload['n']", "64 bits"),
        ({"n": float("nan")}, "payload['n']", "no word for"),
        ({"n": float("inf")}, "payload['n']", "no word for"),
        ({"n": float("-inf")}, "payload['n']", "no word for"),
        ({"a": {1: "x"}}, "payload['a']", "payload['a'] has the key 1 of type int: JSON keys are texts. "),
        ({"a": {None: "x"}}, "payload['a']", "has the key None of type NoneType: "),
        ({"a": {Name("k"): "x"}}, "payload['a']", "of type Name: "),
        ({"a": "\ud800"}, "payload['a']", "lone surrogate"),
        ({"a": {"\udfff": 1}}, "payload['a']", "lone surrogate"),
        ({"a": nested(DEEPEST)}, "payload['a']" + "[0]" * (DEEPEST - 1), "deep"),
        (containing_itself(), "payload" + "[0]" * DEEPEST, "contains itself"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_json_would_change_or_cannot_hold_is_refused_by_its_path(payload: Any, path: str, why: str) -> None:
    with pytest.raises(PayloadNotSerializable) as refusal:
        to_json(payload)

    assert refusal.value.path == path
    assert str(refusal.value).startswith((f"{path} is ", f"{path} has the key ")) and why in str(refusal.value)
    assert "nothing was fired" in str(refusal.value) and len(str(refusal.value)) < 1000


def test_a_payload_whose_repr_raises_is_refused_like_any_other() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("no repr")

    with pytest.raises(PayloadNotSerializable, match="a Broken"):
        to_json({"broken": Broken()})
