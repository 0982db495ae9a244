from __future__ import annotations

from typing import TypedDict


class UserRegistered(TypedDict):
    id: int
    name: str
    email: str
