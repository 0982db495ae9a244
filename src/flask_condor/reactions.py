"""The reactions to an event: the jobs of a name in the order in which they run, and when that is, in words."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from .job import Job
    from .registry import Registry

ORDER = ("now", "after_commit", "after_response", "queued")
"""The run words, from the soonest to the latest; a transaction of a request ends before its response does."""


def reactions_to(registry: Registry, name: str) -> list[Job]:
    """Return the jobs of *name* in the order in which they run: by run word, then as registered."""
    return sorted(registry.jobs_of(name), key=lambda job: ORDER.index(job.run))
