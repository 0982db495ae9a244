"""What a stored payload holds, as a condition in SQL, and names with a star: in the words of each database."""

from __future__ import annotations

import json
import math
import typing as t

from sqlalchemy import ColumnElement
from sqlalchemy import Text
from sqlalchemy import and_
from sqlalchemy import case
from sqlalchemy import cast
from sqlalchemy import false
from sqlalchemy import func
from sqlalchemy import literal
from sqlalchemy import or_
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Connection


def is_named(connection: Connection, column: ColumnElement[str], pattern: str) -> ColumnElement[bool]:
    """Return the condition for the names that *pattern* stands for, in which ``*`` is any text."""
    if "*" not in pattern:
        return column == pattern
    if connection.dialect.name != "sqlite":
        escaped = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        return column.like(escaped.replace("*", "%"), escape="\\")
    return column.op("GLOB", is_comparison=True)(pattern.replace("[", "[[]").replace("?", "[?]"))


def holds(connection: Connection, column: ColumnElement[str], keys: t.Sequence[str], value: str) -> ColumnElement[bool]:
    """Return the condition for the JSON texts in which *keys* lead to *value*; a number is also the text of it."""
    if connection.dialect.name != "sqlite":
        found = cast(column, JSONB).op("#>")(cast(list(keys), ARRAY(Text)))
        is_it = found.in_([cast(literal(one, Text), JSONB) for one in spellings(value)])
        return case((func.strpos(column, "\\u0000") == 0, is_it), else_=false())
    paths = {path_of(keys, are_numbers=are_numbers) for are_numbers in (True, False)}
    is_there = or_(*(is_at(column, path, value) for path in sorted(paths)))
    return case((func.json_valid(column) == 1, is_there), else_=false())


def path_of(keys: t.Sequence[str], *, are_numbers: bool) -> str:
    """Return the path to a value, in the words of SQLite, which tells the items of a list from those of a dict."""
    return "$" + "".join(f"[{key}]" if are_numbers and is_index(key) else f'."{key}"' for key in keys)


def is_index(key: str) -> bool:
    return key.isascii() and key.isdecimal() and len(key) < 10


def is_at(column: ColumnElement[str], path: str, value: str) -> ColumnElement[bool]:
    kind, found = func.json_type(column, path), func.json_extract(column, path)
    conditions = [and_(kind == "text", found == literal(value, Text))]
    for spelling in spellings(value)[1:]:
        one = json.loads(spelling)
        if isinstance(one, int | float) and not isinstance(one, bool):
            conditions.append(and_(kind.in_(("integer", "real")), found == one))
        else:
            conditions.append(kind == spelling)
    return or_(*conditions)


def spellings(value: str) -> list[str]:
    """Return the JSON texts that *value*, as it is typed, may stand for: a text, and a number, a truth or null."""
    found = [json.dumps(value)]
    try:
        one = json.loads(value)
    except (ValueError, RecursionError):
        return found
    if one is None or isinstance(one, bool):
        return [*found, value]
    if isinstance(one, float) and not math.isfinite(one):
        return found
    if isinstance(one, int | float) and -(2**63) <= one < 2**63:
        return [*found, value]
    return found
