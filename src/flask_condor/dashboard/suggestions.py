"""The suggestions of the search field: its qualifiers, with the values that there are, from what is cheap to read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator

from sqlalchemy import select
from sqlalchemy.engine import Connection

from ..bus import ours
from ..errors import CondorError
from ..failure_groups import Group
from ..failure_groups import Wanted
from ..failure_groups import groups
from ..models import workers
from .here import log
from .here import manager
from .reading.runs import STATES
from .search import CHOICES
from .search import QUALIFIERS
from .search import quoted

WORDS = CHOICES | {"state": STATES}
MOST = {"name": 80, "job": 50, "error": 25, "worker": 10}
"""How many values of each are suggested; with the qualifiers and the fixed words they are fewer than 200."""
LONGEST = 200
"""Characters of a value; longer ones are not suggested."""
FAILURES = 100
"""How many failures, those seen last, are looked at for their jobs and errors."""


def suggestions(*, has_log: bool) -> list[str]:
    """Return what can be typed, each as it is typed: "name:", "name:order.paid".

    Names and jobs are the registered ones; errors, and jobs that are gone, those of the latest failures. No table
    that grows with the events is read.

    :param has_log: whether the event log is asked; one that cannot be read suggests nothing.
    """
    met, seen = of_log() if has_log else ([], [])
    registered = manager().registry.jobs
    paths = {job.path for jobs in registered.values() for job in jobs} | {group.job for group in met}
    values = {
        "name": sorted(map(str.__str__, registered)),
        "job": sorted(short(paths, ":")),
        "error": list(dict.fromkeys(group.error_type.rpartition(".")[2] for group in met)),
        "worker": seen,
    }
    found = WORDS | {key: some[: MOST[key]] for key, some in values.items()}
    bare = [f"{key}:" for key in QUALIFIERS]
    return [*bare, "payload.user.id:", *(f"{key}:{quoted(value)}" for key in found for value in typeable(found[key]))]


def of_log() -> tuple[list[Group], list[str]]:
    """Return the latest failures, and the workers that were seen last."""
    try:
        with log().read() as connection:
            return groups(connection, Wanted(), FAILURES), workers_seen(connection)
    except CondorError:
        return [], []


def workers_seen(connection: Connection) -> list[str]:
    seen = select(workers.c.id).where(ours(connection, workers)).order_by(workers.c.seen_at.desc(), workers.c.id)
    return list(connection.scalars(seen.limit(MOST["worker"])))


def short(paths: Collection[str], separator: str) -> Iterator[str]:
    """Yield the last part of each path, which is how a person begins to type it; all of it where two end alike."""
    ends = Counter(path.rpartition(separator)[2] for path in paths)
    for path in paths:
        end = path.rpartition(separator)[2]
        yield end if ends[end] == 1 else path


def typeable(values: Iterable[str]) -> Iterable[str]:
    """Return those that a person could type."""
    return (value for value in values if value.isprintable() and 0 < len(value) <= LONGEST)
