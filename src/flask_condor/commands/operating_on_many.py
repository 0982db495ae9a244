"""``flask events operations | abort | purge``: what is done to many, at once here or later by a worker."""

from __future__ import annotations

import json
import time
import typing as t

import click

from .batches import run_in_batches
from .beginning import begin_in_worker
from .beginning import in_worker
from .shown import as_json
from .shown import command
from .shown import manager_here
from .shown import show
from .states import DeliveryState
from .stored import ACTOR
from .stored import command_line
from .stored import tell
from .stored import without_asking
from .times import Moment
from .times import iso_time
from .times import shown_time

if t.TYPE_CHECKING:
    from ..purge import Finished

STATES = ("done", "dead", "cancelled")
"""Those of :data:`~flask_condor.purge.FINISHED`, which imports SQLAlchemy."""


@click.command("operations")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many to show at most.")
@as_json
@command
def operations(limit: int, is_json: bool) -> None:
    """Show the operations on many, which workers do."""
    from ..bulk_operations import operations_of

    with manager_here().log.read() as connection:
        found = operations_of(connection, limit)
    at = iso_time if is_json else shown_time
    headers = ["Id", "Kind", "Title", "By", "Begun", "State", "Done", "Total", "Left_out", "Chosen", "Error"]
    rows = [
        [one.id, one.kind, one.title, one.actor, at(one.created_at), one.state, one.done, one.total, one.left_out]
        + [json.loads(one.chosen) if is_json else one.chosen, one.error]
        for one in found
    ]
    show(is_json, headers, rows, "There is none: `flask events purge --in-worker` begins one, for example.")


@click.command("abort")
@click.argument("number", type=click.IntRange(1, 2**63 - 1), metavar="ID")
@as_json
@command
def abort(number: int, is_json: bool) -> None:
    """End an operation on many; what is done already stays done."""
    from ..bulk_operations import abort

    with manager_here().log.change("nothing was aborted") as connection:
        was_open = abort(connection, number, ACTOR)
    show(is_json, ["Aborted"], [[number]] if was_open else [], "Nothing to abort: it has ended.")


@click.command("purge")
@click.option("--before", type=Moment(), required=True, help="What ended before 2026-11-21 09:00 (UTC), or 7d ago.")
@click.option("--event", "name", metavar="NAME", help="Only those of events of this name.")
@click.option("--job", metavar="NAME", help="Only those of this job, by name or path.")
@click.option("--state", "states", type=DeliveryState(STATES), multiple=True, help="Only those; may be repeated.")
@in_worker
@without_asking
@as_json
@command
def purge(  # noqa: PLR0913  # an argument for each option, by keyword
    *,
    before: float,
    name: str | None,
    job: str | None,
    states: tuple[Finished, ...],
    is_in_worker: bool,
    yes: bool,
    is_json: bool,
) -> None:
    """Delete deliveries that have ended, by choice.

    With their events, when nothing else is left of them; never one that has not ended.
    """
    from ..bulk_operations import ChosenEnded
    from ..purge import Purge

    before, chosen_states = (
        min(before, time.time()),
        t.cast("tuple[Finished, ...]", tuple(dict.fromkeys(states or STATES))),
    )
    log = manager_here().log
    if is_in_worker:
        chosen = ChosenEnded(before=before, event=name, job=job, states=chosen_states)
        begin_in_worker(chosen, "Delete {} rows for good", yes=yes, is_json=is_json)
        return
    work = Purge(before, name=name, job=job, states=chosen_states)
    with log.read() as connection:
        count = work.count(connection)
    if count and not yes:
        click.confirm(f"Delete {count:,} rows for good?", abort=True, err=True)
    options = {"--before": iso_time(before), "--event": name, "--job": job}
    rest = command_line("purge", options, states=states)
    done = run_in_batches(log, work, count=count, label="Purging", go_on=lambda: rest, is_json=is_json)
    tell(done, "Purged", "row", "rows", is_json=is_json)
