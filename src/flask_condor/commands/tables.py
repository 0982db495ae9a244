"""``flask events db``: the version of the event log's tables."""

from __future__ import annotations

import click

from .shown import as_json
from .shown import command
from .shown import manager_here
from .shown import show


@click.group("db")
def db() -> None:
    """Look after the tables of the event log."""


@db.command("upgrade")
@as_json
@command
def upgrade(is_json: bool) -> None:
    """Make the tables, or bring them to this code's version.

    Run it once, while no worker runs.
    """
    from ..database import explained
    from ..schema import upgrade

    with explained("the tables were not changed"), manager_here().log.engine.begin() as connection:
        found, now = upgrade(connection)
    if is_json:
        show(is_json, ["From", "To"], [[found, now]])
    elif found is None:
        click.echo(f"The tables of the event log were made, of version {now}.")
    elif found == now:
        click.echo(f"The tables of the event log are of version {now} already.")
    else:
        click.echo(f"The tables of the event log went from version {found} to {now}.")
