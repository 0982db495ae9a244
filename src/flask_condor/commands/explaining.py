"""``flask events explain NAME``: what would run for an event, when, and why the rest would not."""

from __future__ import annotations

import json
import time
import typing as t
from datetime import UTC
from datetime import datetime
from difflib import get_close_matches

import click
import msgspec

from ..places import shown_path
from ..reactions import Reaction
from ..reactions import others_than
from ..reactions import reactions_to
from .shown import Refused
from .shown import as_json
from .shown import cell_of
from .shown import command
from .shown import manager_here
from .shown import show

if t.TYPE_CHECKING:
    from ..manager import EventsManager
    from ..schedule import Schedule


@click.command("explain")
@click.argument("name")
@as_json
@command
def explain(name: str, is_json: bool) -> None:
    """Tell which jobs would run when NAME is fired.

    In what order, when, and by which rules; and why the other jobs of the app would not.
    """
    manager = manager_here()
    registry = manager.registry
    reactions, others = reactions_to(registry, name), others_than(registry, name)
    if not registry.knows(name) and not reactions:
        raise Refused(f"event {cell_of(name)} is not registered. {nearest(name, list(registry.jobs))}")
    schedules = [one for one in manager.schedules if one.name == name] if "schedules" in vars(manager) else []
    if is_json:
        for row in objects_of(name, reactions, others, schedules):
            click.echo(json.dumps(row))
        return
    click.echo(f"{cell_of(name)}: {status_of(manager, name, len(reactions))}")
    tell(reactions, schedules)
    if others:
        click.echo()
        show(False, ["Would not run", "Why"], [[one.name, one.why_not] for one in others])


def nearest(name: str, names: list[str]) -> str:
    near = get_close_matches(name, names, n=3, cutoff=0.5)
    return f"Near it: {', '.join(map(cell_of, near))}." if near else "`flask events list` shows those that are."


def status_of(manager: EventsManager, name: str, count: int) -> str:
    registry = manager.registry
    if not registry.signals.enabled:
        return "events are disabled in this app, so nothing runs. Else would run:"
    if registry.is_silent(name):
        return "its signal is muted, so nothing runs. Else would run:"
    if not registry.knows(name):
        return "not registered, so fire() refuses it; emit() calls these receivers:"
    return f"{count} to run, in this order:" if count else "registered, but nothing runs for it."


def tell(reactions: list[Reaction], schedules: list[Schedule]) -> None:
    for number, one in enumerate(reactions, 1):
        click.echo(f"\n{number:2}  {cell_of(one.name)}\n    {one.when}")
        if one.where is None:
            click.echo("    a plain Blinker receiver: not recorded, and not run again when it fails")
        else:
            click.echo(f"    registered at {cell_of(shown_path(one.where))}")
    for schedule in schedules:
        click.echo(f"\nFired by the clock at {schedule.expression} ({schedule.timezone}), next {next_tick(schedule)};")
        click.echo("all its jobs run in a worker then.")


def next_tick(schedule: Schedule) -> str:
    return datetime.fromtimestamp(schedule.next_after(time.time()), UTC).isoformat(" ", "minutes")


def objects_of(
    name: str, reactions: list[Reaction], others: list[Reaction], schedules: list[Schedule]
) -> t.Iterator[dict[str, t.Any]]:
    """Return an object for each job: its place in the order, or why it would not run; and for each schedule."""
    for number, one in enumerate(reactions, 1):
        rules = None if one.rules is None else msgspec.to_builtins(one.rules)
        where = None if one.where is None else shown_path(one.where)
        told: dict[str, t.Any] = {
            "run": one.run,
            "when": one.when,
            "rules": rules,
            "registered": where,
            "why_not": None,
        }
        yield {"event": name, "order": number, "job": one.name} | told
    for one in others:
        told = dict.fromkeys(("run", "when", "rules", "registered")) | {"why_not": one.why_not}
        yield {"event": name, "order": None, "job": one.name} | told
    for schedule in schedules:
        told = {"schedule": schedule.expression, "timezone": schedule.timezone, "next": next_tick(schedule)}
        yield {"event": name} | told
