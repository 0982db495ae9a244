"""``flask events run-now | forget``: what a person does to a delivery before its time."""

from __future__ import annotations

import click

from .shown import as_json
from .shown import command
from .shown import manager_here
from .shown import show
from .shown import target_from

ACTOR = "cli"


@click.command("run-now")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@as_json
@command
def run_now(ids: tuple[str, ...], is_json: bool) -> None:
    """Make deliveries due now that wait.

    ID is the number of a delivery, or the id of an event, for all of its deliveries that are due later: they were
    delayed, or failed and wait to be tried again.
    """
    from ..operations import run_now

    with manager_here().log.change("nothing was made due") as connection:
        moved = [one for id in ids for one in run_now(connection, target_from(id), ACTOR)]
    show(is_json, ["Due"], [[id] for id in moved], "Nothing to run: none of them waits for its time.")


@click.command("forget")
@click.argument("ids", nargs=-1, required=True, type=click.IntRange(1, 2**63 - 1), metavar="DELIVERY...")
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
@command
def forget(ids: tuple[int, ...], yes: bool, is_json: bool) -> None:
    """Delete deliveries that have ended.

    Their errors, attempts and results go with them; their events stay until they are pruned.
    All of the given ones are deleted, or none.
    """
    from ..forgetting import forget

    if not yes:
        click.confirm(f"Delete {len(ids):,} for good?", abort=True, err=True)
    with manager_here().log.change("nothing was forgotten") as connection:
        for id in dict.fromkeys(ids):
            forget(connection, id, ACTOR)
    show(is_json, ["Forgotten"], [[id] for id in dict.fromkeys(ids)])
