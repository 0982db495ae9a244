"""Counting for a glance: as many as can be counted quickly, however many rows there are."""

from __future__ import annotations

import typing as t

import msgspec
from sqlalchemy import Select
from sqlalchemy import case
from sqlalchemy import func
from sqlalchemy import select
from sqlalchemy.engine import Connection

MOST = 10_000
LOOKED_AT = 5_000
"""How many rows are looked at, chosen or not: some 20 ms, where each is read from another page of the table."""


class Counted(msgspec.Struct, frozen=True):
    """How many there are; shown as "10,000+" when there may be more."""

    count: int
    is_more: bool

    def __add__(self, other: Counted) -> Counted:
        return Counted(self.count + other.count, self.is_more or other.is_more)

    def __str__(self) -> str:
        return f"{self.count:,}+" if self.is_more else f"{self.count:,}"


def count_some(connection: Connection, candidates: Select[t.Any]) -> Counted:
    """Count those of the *candidates*, rows in the order of an index, whose first column, ``is_chosen``, is true."""
    looked_at = candidates.limit(LOOKED_AT + 1).subquery()
    chosen = func.sum(case((looked_at.c.is_chosen, 1), else_=0))
    rows, count = connection.execute(select(func.count(), chosen).select_from(looked_at)).one()
    return Counted(min(count or 0, MOST), rows > LOOKED_AT or (count or 0) > MOST)
