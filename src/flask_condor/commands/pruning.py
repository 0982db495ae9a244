"""``flask events prune``: forgets now what a worker would forget in time."""

from __future__ import annotations

import math
import sys
import time
import typing as t

import click

from .shown import Refused
from .shown import as_json
from .shown import command
from .shown import manager_here
from .shown import show

if t.TYPE_CHECKING:
    from ..manager import EventsManager
    from ..prune import Prune

PAUSE = 0.005
"""Seconds between two transactions, in which others get their turn to write."""


@click.command("prune")
@click.option(
    "--older-than",
    "days",
    type=click.FloatRange(min=0, max=36_525),
    metavar="DAYS",
    help="What ended longer ago, dead deliveries too; by default what CONDOR_RETENTION_DONE and _DEAD say.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
@command
def prune(days: float | None, yes: bool, is_json: bool) -> None:
    """Delete what ended long ago.

    Deliveries, with their events; never one that has not ended.
    """
    from ..prune import DAY
    from ..prune import Prune
    from ..prune import Retention

    if days is not None and math.isnan(days):
        raise Refused("--older-than takes a number of days.")
    manager = manager_here()
    now = time.time()
    before = None if days is None else now - days * DAY
    one = Prune(Retention.of(manager.config, now) if before is None else Retention(before, before))
    with manager.log.read() as connection:
        count = one.count(connection)
    if count and not yes:
        click.confirm(f"Delete {count:,} rows for good?", abort=True, err=True)
    deleted = prune_all(manager, one, count, is_hidden=is_json or not sys.stderr.isatty())
    show(is_json, ["Pruned"], [[deleted]] if deleted or is_json else [], "Nothing to prune.")


def prune_all(manager: EventsManager, one: Prune, count: int, *, is_hidden: bool) -> int:
    deleted = 0
    with click.progressbar(length=count, label="Pruning", file=sys.stderr, hidden=is_hidden) as bar:
        while not one.is_over:
            with manager.log.begin("the rest was not pruned") as connection:
                batch = one.batch(connection)
            deleted += batch
            time.sleep(PAUSE)
            bar.update(batch)
    return deleted
