"""``flask events prune``: forgets now what a worker would forget in time."""

from __future__ import annotations

import math
import time

import click

from .batches import run_in_batches
from .shown import Refused
from .shown import as_json
from .shown import command
from .shown import manager_here
from .shown import show


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
    rest = "flask events prune --yes" if days is None else f"flask events prune --older-than {days:g} --yes"
    deleted = run_in_batches(manager.log, one, count=count, label="Pruning", go_on=lambda: rest, is_json=is_json)
    show(is_json, ["Pruned"], [[deleted]] if deleted or is_json else [], "Nothing to prune.")
