"""``flask events failures | mute | unmute``: what went wrong, by what is alike, and what of it is set aside."""

from __future__ import annotations

import typing as t

import click

from .shown import as_json
from .shown import command
from .shown import manager_here
from .shown import show
from .shown import unless_off
from .times import Moment
from .times import iso_time
from .times import shown_time

if t.TYPE_CHECKING:
    from ..failure_groups import Became
    from ..failure_groups import Group

ACTOR = "cli"
MOST = 1000
HEADERS = ["Failure", "Last seen (UTC)", "Runs", "Dead", "Recovered", "Job", "Error", "Frame", "Muted"]
KEYS = [
    *("failure", "last_seen", "first_seen", "runs", "dead", "looked_at", "recovered"),
    *("job", "error", "frame", "events", "muted", "note"),
]

failure_id = click.argument("id", type=click.IntRange(1, 2**63 - 1), metavar="ID")


@click.command("failures")
@click.option("--since", type=Moment(), help="Only those seen since: 1h30m ago, or 2026-11-21 09:00 (UTC).")
@click.option("--job", metavar="NAME", help="Only those of this job, by name or path.")
@click.option("--event", "name", metavar="NAME", help="Only those seen at events of this name.")
@click.option("--muted", is_flag=True, help="Those that are muted, in place of the others.")
@as_json
@command
def failures(*, since: float | None, job: str | None, name: str | None, muted: bool, is_json: bool) -> None:
    """Show what went wrong, what was seen last first.

    Runs that failed with the same class of exception, in the same job, below the same function of the app's own code
    are one failure. Dead are its deliveries that can be retried; Recovered tells how many of its latest attempts were
    of deliveries that are done now.
    """
    from ..failure_groups import Wanted
    from ..failure_groups import became_of
    from ..failure_groups import events_of
    from ..failure_groups import groups
    from ..history import reading

    wanted = Wanted(since=since, job=job, name=name, is_muted=muted)
    with reading(manager_here().log) as connection:
        found = groups(connection, wanted, MOST)
        ids = [group.id for group in found]
        became = became_of(connection, ids)
        names = events_of(connection, ids, since or 0.0)
    if is_json:
        show(is_json, KEYS, [fields_of(one, became[one.id], names.get(one.id, {})) for one in found])
    else:
        show(is_json, HEADERS, [cells_of(one, became[one.id]) for one in found], unless_off("No failure is like that."))


def cells_of(group: Group, became: Became) -> list[object]:
    share = f"{became.recovered} of {became.looked_at}"
    where = [name.rpartition(":")[2] for name in (group.job, group.frame)]
    kind, muted = group.error_type.rpartition(".")[2], (group.note or "muted") if group.is_muted else None
    return [group.id, shown_time(group.last_seen), group.runs, became.dead, share, where[0], kind, where[1], muted]


def fields_of(group: Group, became: Became, names: dict[str, int]) -> list[object]:
    times = [iso_time(group.last_seen), iso_time(group.first_seen)]
    counts = [group.runs, became.dead, became.looked_at, became.recovered]
    return [group.id, *times, *counts, group.job, group.error_type, group.frame, names, group.is_muted, group.note]


@click.command("mute")
@failure_id
@click.option("--note", default="", metavar="TEXT", help="Why, for those who see it.")
@as_json
@command
def mute(id: int, note: str, is_json: bool) -> None:
    """Set a failure aside that is known already.

    It goes on being counted, and is shown with --muted only. ID is what `failures` prints.
    """
    from ..muting import mute

    with manager_here().log.change("nothing was muted") as connection:
        is_changed = mute(connection, id, note, ACTOR)
    show(is_json, ["Muted"], [[id]] if is_changed else [], "Nothing to mute: it is so already.")


@click.command("unmute")
@failure_id
@as_json
@command
def unmute(id: int, is_json: bool) -> None:
    """Take up again a failure that is muted."""
    from ..muting import unmute

    with manager_here().log.change("nothing was unmuted") as connection:
        is_changed = unmute(connection, id, ACTOR)
    show(is_json, ["Unmuted"], [[id]] if is_changed else [], "Nothing to unmute: it is not muted.")
