"""``flask events list``: which jobs run for which event, on one screen."""

from __future__ import annotations

import typing as t

import click

from ..places import shown_path
from ..reactions import jobs_in_order
from .shown import as_json
from .shown import command
from .shown import manager_here
from .shown import show

if t.TYPE_CHECKING:
    from ..registry import Registry


@click.command("list")
@as_json
@command
def list_events(is_json: bool) -> None:
    """Show the app's events and jobs, in the order they run."""
    rows = rows_of(manager_here().registry)
    show(is_json, ["Event", "Run", "Job", "Registered"], rows, "No events were registered.")


def rows_of(registry: Registry) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for name in sorted(registry.jobs):
        jobs: list[tuple[object, ...]] = [
            (job.run, job.path, shown_path(job.where)) for job in jobs_in_order(registry, name)
        ]
        rows += [(name, *job) for job in jobs or [(None, None, None)]]
    return rows
