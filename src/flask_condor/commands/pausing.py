"""``flask events pause | resume``: which queues and events no worker takes up."""

from __future__ import annotations

import typing as t

import click

from .shown import as_json
from .shown import command
from .shown import manager_here
from .shown import show
from .stored import ACTOR
from .times import iso_time
from .times import shown_time

if t.TYPE_CHECKING:
    from ..pauses import Kind

of_queue = click.option("--queue", metavar="QUEUE", help="All deliveries of this queue.")
of_event = click.option("--event", "name", metavar="NAME", help="All deliveries of events of this name.")


@click.command("pause")
@of_queue
@of_event
@as_json
@command
def pause(queue: str | None, name: str | None, is_json: bool) -> None:
    """Let no worker take up deliveries of a queue or an event.

    What runs is not stopped, and what is fired meanwhile waits. Without an option it shows what is paused.
    """
    from ..pauses import pause
    from ..pauses import pauses_of

    manager = manager_here()
    if queue is None and name is None:
        with manager.log.read() as connection:
            found = pauses_of(connection)
        time = iso_time if is_json else shown_time
        rows = [(one.kind, one.name, time(one.at), one.actor) for one in found]
        show(is_json, ["Kind", "Name", "Since", "By"], rows, "Nothing is paused.")
        return
    kind, name = chosen(queue, name)
    with manager.log.begin("nothing was paused") as connection:
        is_new = pause(connection, manager.registry, kind, name, ACTOR)
    show(is_json, ["Kind", "Paused"], [[kind, name]] if is_new else [], f"The {kind} is paused already.")


@click.command("resume")
@of_queue
@of_event
@as_json
@command
def resume(queue: str | None, name: str | None, is_json: bool) -> None:
    """Let workers take up deliveries of a queue or an event again."""
    from ..pauses import resume

    kind, name = chosen(queue, name)
    with manager_here().log.change("nothing was resumed") as connection:
        was_paused = resume(connection, kind, name, ACTOR)
    empty = f"The {kind} is not paused: `flask events pause` shows what is."
    show(is_json, ["Kind", "Resumed"], [[kind, name]] if was_paused else [], empty)


def chosen(queue: str | None, name: str | None) -> tuple[Kind, str]:
    if queue is not None and name is None:
        return "queue", queue
    if name is not None and queue is None:
        return "event", name
    raise click.UsageError("Type --queue QUEUE or --event NAME, one of them.")
