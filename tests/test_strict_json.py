"""Strict JSON: of the JSONTestSuite what is JSON is read and all else refused, and each limit is told by its rule."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from flask_condor.ingress.rejection import Rejected
from flask_condor.ingress.strict_json import LARGEST_BODY
from flask_condor.ingress.strict_json import parse

SUITE = sorted((Path(__file__).parent / "data/json_test_suite/test_parsing").iterdir())
LIMITED = {
    "y_object_duplicated_key.json": "duplicate-key",
    "y_object_duplicated_key_and_value.json": "duplicate-key",
    "y_object_escaped_null_in_key.json": "nul",
    "y_string_null_escape.json": "nul",
}
"""What is JSON, and beyond our limits."""
READ = {"i_number_double_huge_neg_exp.json", "i_number_real_underflow.json"}
"""What we decided to take: numbers so near to 0 that they become it."""
HOSTILE = {
    "arrays": b"[" * 100_000,
    "arrays that end": b"[" * 100_000 + b"]" * 100_000,
    "objects": b'{"a":' * 50_000,
    "both": b'[{"":' * 50_000,
    "keys": json.dumps(dict.fromkeys(map(str, range(15_000)))).encode(),
    "an integer": b"9" * 5_000,
    "integers": b"[" + b",".join([b"9" * 5_000] * 50) + b"]",
    "an integer with a fraction": b"9" * 250_000 + b".0",
    "a long fraction": b"0." + b"1" * 250_000 + b"e",
    "quotes": b'"' * 250_001,
    "quotes that are escaped": b'"' + b'\\"' * 125_000,
    "backslashes": b'"' + b"\\" * 250_000,
    "surrogates": b'"' + b"\\ud800" * 40_000,
    "brackets that close": b"]" * 250_000,
    "colons": b":" * 250_000,
    "spaces": b" " * 250_000,
    "nuls": b"\0" * 250_000,
}


def rule_of(data: bytes) -> str:
    with pytest.raises(Rejected) as caught:
        parse(data)
    assert caught.value.status in (400, 413)
    assert len(caught.value.detail) < 200
    return caught.value.rule


@pytest.mark.parametrize("path", [path for path in SUITE if path.name[0] == "y"], ids=lambda path: path.stem)
def test_what_is_json_is_read_as_the_standard_library_reads_it_unless_a_limit_forbids(path: Path) -> None:
    data = path.read_bytes()

    if path.name in LIMITED:
        assert rule_of(data) == LIMITED[path.name]
    else:
        assert parse(data) == json.loads(data)


@pytest.mark.parametrize("path", [path for path in SUITE if path.name[0] == "n"], ids=lambda path: path.stem)
def test_what_is_no_json_is_refused(path: Path) -> None:
    assert rule_of(path.read_bytes()) in {"malformed", "not-utf-8", "not-a-number", "byte-order-mark", "lone-surrogate"}


@pytest.mark.parametrize("path", [path for path in SUITE if path.name[0] == "i"], ids=lambda path: path.stem)
def test_what_each_reader_decides_is_refused_unless_it_is_harmless(path: Path) -> None:
    data = path.read_bytes()

    if path.name in READ:
        assert parse(data) == [0.0]
    else:
        assert rule_of(data) not in ("malformed", "duplicate-key")


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b'{"a": 1, "a": 1}', "duplicate-key"),
        (b'{"a": 1, "\\u0061": 2}', "duplicate-key"),
        (b'[{"a": [{"b": 1, "c": 2, "b": 3}]}]', "duplicate-key"),
        (b"NaN", "not-a-number"),
        (b'{"a": -Infinity}', "not-a-number"),
        (b"1e999", "number-too-large"),
        (b"[-1e999]", "number-too-large"),
        (b"9" * 5_000, "number-too-large"),
        (b"9007199254740993", "number-too-large"),
        (b'{"a": -9007199254740993}', "number-too-large"),
        (b'"\\ud800"', "lone-surrogate"),
        (b'{"\\udc00": 1}', "lone-surrogate"),
        (b'["\\ud800\\ud800"]', "lone-surrogate"),
        (b'"\\u0000"', "nul"),
        (b'{"a\\u0000": 1}', "nul"),
        (b'{"a": ["\\\\\\u0000"]}', "nul"),
        (b'"\0"', "malformed"),
        (b"\xef\xbb\xbf{}", "byte-order-mark"),
        ("{}".encode("utf-16"), "not-utf-8"),
        ("{}".encode("utf-16-le"), "malformed"),
        (b'"\xed\xa0\x80"', "not-utf-8"),
        (b'"\xc0\x80"', "not-utf-8"),
        (b"", "malformed"),
        (b"{} {}", "malformed"),
        (b"{'a': 1}", "malformed"),
        (b'{"a": 1,}', "malformed"),
        (b"/**/ 1", "malformed"),
        (b"[" * 33 + b"]" * 33, "too-deep"),
        (b'{"a":' * 33 + b"1" + b"}" * 33, "too-deep"),
        (json.dumps(dict.fromkeys(map(str, range(1001)))).encode(), "too-many-keys"),
        (json.dumps([{"a": 1}] * 1001).encode(), "too-many-keys"),
        (b'"' + b"a" * (LARGEST_BODY - 1) + b'"', "too-large"),
    ],
)
def test_each_limit_is_told_by_its_rule(data: bytes, rule: str) -> None:
    assert rule_of(data) == rule


@pytest.mark.parametrize(
    "value",
    [
        2**53,
        -(2**53),
        1e300,
        1.7976931348623157e308,
        "\\u0000",
        "\\ud800",
        "\U0001f600 \ufeff \u2028",
        '{"a": 1, "a": 1} NaN [[[ "',
        [{"a": 1}] * 1000,
        {"a": {"a": {"a": 1}}},
        ":" * 2000 + "[" * 100 + "\\",
        "a" * (LARGEST_BODY - 2),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_within_the_limits_is_read_as_it_is(value: Any) -> None:
    assert parse(json.dumps(value).encode()) == value


def test_32_is_not_too_deep() -> None:
    assert parse(b"[" * 32 + b"]" * 32) == json.loads("[" * 32 + "]" * 32)
    assert parse(b"[" + b"[" * 31 + b"]" * 31 + b",[]" * 1000 + b"]")[0] != []


def test_half_a_character_is_found_whatever_follows_it() -> None:
    assert parse(b'"\\ud83d\\ude00"') == "\U0001f600"
    assert rule_of(b'"\\ud83d') == "lone-surrogate"
    assert rule_of(b'"\\ud83d\\ude00') == "malformed"


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_made_to_exhaust_a_reader_is_refused(name: str) -> None:
    rule = rule_of(HOSTILE[name])

    assert rule in {"malformed", "too-deep", "too-many-keys", "number-too-large", "lone-surrogate"}


def test_as_many_short_or_long_numbers_as_fit_are_read() -> None:
    for number in (b"0", b"0.1", b"-1e-7", b"1.7976931348623157081e308"):
        count = (LARGEST_BODY - 2) // (len(number) + 1)
        assert len(parse(b"[" + b",".join([number] * count) + b"]")) == count
