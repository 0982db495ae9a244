"""``flask events stats``: how many runs of each job ended how, and how long they took."""

from __future__ import annotations

import typing as t

import click

from .shown import as_json
from .shown import cell_of
from .shown import command
from .shown import manager_here
from .shown import show
from .shown import unless_off
from .times import shown_time

if t.TYPE_CHECKING:
    from sqlalchemy.engine import Connection

SPANS = {"hour": 3600.0, "day": 86_400.0}
OUTCOMES = ("done", "failed", "dead", "lost")


@click.command("stats")
@click.option("--last", type=click.Choice(list(SPANS)), default="day", show_default=True, help="How far back to look.")
@click.option("--rebuild", is_flag=True, help="First count anew what is done and dead, from the deliveries in the log.")
@as_json
@command
def stats(last: str, rebuild: bool, is_json: bool) -> None:
    """Show how the runs of each job ended.

    p50 and p95 are the seconds that half and 95 % of them took at most, right within 10 %. Failed ones were tried
    again; lost ones lost their worker. What --rebuild counts anew took the time from its claim to its finish, so with
    what it waited for a thread.
    """
    from ..log import clock
    from ..pauses import pauses_of

    log = manager_here().log
    if rebuild:
        from ..rates import rebuild as count_anew

        with log.change("nothing was counted anew") as connection:
            counted = count_anew(connection, clock(connection))
        click.echo(f"Counted {counted:,} deliveries anew.", err=True)
    with log.read() as connection:
        rows = rates_since(connection, clock(connection) - SPANS[last], last)
        paused = pauses_of(connection)
    headers = ["Event", "Job", *(outcome.title() for outcome in OUTCOMES), "p50", "p95"]
    show(is_json, headers, rows, unless_off(f"No job has run in the last {last}."))
    for one in paused:
        click.echo(cell_of(f"Paused: {one.kind} {one.name}, since {shown_time(one.at)}, by {one.actor}."), err=True)


def rates_since(connection: Connection, since: float, last: str) -> list[list[object]]:
    from ..rates import HOUR
    from ..rates import MINUTE
    from ..rates import durations
    from ..rates import percentiles
    from ..rates import totals

    width = MINUTE if last == "hour" else HOUR
    runs: dict[tuple[str, str], dict[str, int]] = {}
    for total in totals(connection, since, width=width):
        runs.setdefault((total.name, total.job), {})[total.outcome] = total.runs
    took = durations(connection, since, width=width)
    rows: list[list[object]] = []
    for (name, job), counts in runs.items():
        buckets = took.get((name, job))
        ends: tuple[float | None, ...] = percentiles(buckets, (0.5, 0.95)) if buckets else (None, None)
        rows.append([name, job, *(counts.get(outcome, 0) for outcome in OUTCOMES), *ends])
    return rows
