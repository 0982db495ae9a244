"""``flask events retry | cancel | replay``: what a person does to stored deliveries and events."""

from __future__ import annotations

import click

from ..errors import OperationRefused
from .shown import as_json
from .shown import command
from .shown import manager_here
from .shown import show
from .shown import target_from

ACTOR = "cli"


@click.command("retry")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@as_json
@command
def retry(ids: tuple[str, ...], is_json: bool) -> None:
    """Make dead deliveries pending again.

        ID is the number of a delivery, dead or cancelled, or the id of an event, for all of its dead ones. They have
    all their attempts anew; others are left as they are.
    """
    from ..operations import retry

    with manager_here().log.begin("nothing was retried") as connection:
        moved = retry(connection, [target_from(id) for id in ids], ACTOR)
    show(is_json, ["Retried"], [[id] for id in moved], "Nothing to retry: none of them is dead.")


@click.command("cancel")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@as_json
@command
def cancel(ids: tuple[str, ...], is_json: bool) -> None:
    """Cancel deliveries that are pending.

    ID is the number of a delivery, or the id of an event, for all of its pending ones. What runs already is not
    stopped.
    """
    from ..operations import cancel

    with manager_here().log.begin("nothing was cancelled") as connection:
        moved = [one for id in ids for one in cancel(connection, target_from(id), ACTOR)]
    show(is_json, ["Cancelled"], [[id] for id in moved], "Nothing to cancel: none of them is pending.")


@click.command("replay")
@click.argument("ids", nargs=-1, required=True, metavar="EVENT_ID...")
@click.option("--job", "jobs", multiple=True, metavar="NAME", help="Only this job, by name or path; may be repeated.")
@as_json
@command
def replay(ids: tuple[str, ...], jobs: tuple[str, ...], is_json: bool) -> None:
    """Fire stored events again, as new ones.

    All jobs that are registered for them now are queued.
    """
    manager, made, refused = manager_here(), [], []
    for id in ids:
        try:
            event = manager.replay(id, jobs or None, actor=ACTOR)
        except OperationRefused as error:
            refused.append(str(error))
        else:
            made.append((id, event.name, event.id))
    if made or not refused:
        show(is_json, ["Event", "Name", "Replay"], made)
    if refused:
        raise OperationRefused("; ".join(refused))
