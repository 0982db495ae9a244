"""``flask events log``: what was fired, and how its jobs ended, the newest first."""

from __future__ import annotations

import typing as t

import click

from .shown import as_json
from .shown import command
from .shown import manager_here
from .shown import show
from .shown import unless_off
from .states import DeliveryState
from .times import Moment
from .times import iso_time
from .times import shown_time

if t.TYPE_CHECKING:
    from ..history import Line
    from ..models import State

STATES = ("pending", "running", "done", "dead", "cancelled")
HEADERS = ["Time (UTC)", "Event", "Job", "Run", "State", "Attempt", "Took", "Delivery", "Event id"]
KEYS = ["time", "event", "job", "run", "state", "attempt", "due", "took", "delivery", "id", "orphan", "subject"]


@click.command("log")
@click.option("--event", "name", metavar="NAME", help="Only events of this name.")
@click.option("--job", metavar="NAME", help="Only runs of this job, by name or path.")
@click.option("--state", type=DeliveryState(STATES), help="Only deliveries in this state.")
@click.option("--since", type=Moment(), help="Only events fired since: 1h30m ago, or 2026-11-21 09:00 (UTC).")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many lines.")
@click.option("--orphans", is_flag=True, help="Only events that nobody listened to.")
@as_json
@command
def log(  # noqa: PLR0913  # an argument for each option, by keyword
    *,
    name: str | None,
    job: str | None,
    state: State | None,
    since: float | None,
    limit: int,
    orphans: bool,
    is_json: bool,
) -> None:
    """Show what was fired and how its jobs ended, the newest first.

    A line for each delivery, and one for an event without any. The number of a delivery and the id of an event are
    what `show`, `retry` and `cancel` take.
    """
    from ..history import Chosen
    from ..history import lines
    from ..history import reading

    chosen = Chosen(name=name, job=job, state=state, since=since, is_orphan=True if orphans else None)
    with reading(manager_here().log) as connection:
        found = lines(connection, chosen, limit)
    if is_json:
        show(is_json, KEYS, map(fields_of, found))
    else:
        is_all = chosen == Chosen()
        empty = "The event log is empty." if is_all else "Nothing in the event log is like that."
        show(is_json, HEADERS, map(cells_of, found), unless_off(empty))


def cells_of(line: Line) -> list[object]:
    state = ("orphan" if line.is_orphan else None) if line.delivery is None else line.state
    job = None if line.job is None else line.job.rpartition(":")[2]
    at = shown_time(line.fired_at)
    return [at, line.name, job, line.run, state, line.attempt, line.seconds, line.delivery, line.event_id]


def fields_of(line: Line) -> list[object]:
    run = [line.job, line.run, line.state, line.attempt, iso_time(line.due_at), line.seconds, line.delivery]
    return [iso_time(line.fired_at), line.name, *run, line.event_id, bool(line.is_orphan), line.subject]
