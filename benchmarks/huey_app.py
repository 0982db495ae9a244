"""The same job for huey, in an SQLite file that is synced at each commit."""

from __future__ import annotations

import os

from huey import SqliteHuey

huey = SqliteHuey(filename=os.environ["DATABASE"], fsync=True, results=False)


@huey.task()  # type: ignore[untyped-decorator]  # huey has no types
def note(payload: dict[str, int]) -> None:
    """Do nothing."""
