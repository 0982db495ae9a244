"""``flask events init``: the events folder of an app that has none yet."""

from __future__ import annotations

from pathlib import Path

import click

from .project import dry_run
from .project import writing

IMPORTS = ("from flask_condor import Condor", "from register_events import register_events")
CALL = "Condor(app, register_events=register_events)"


@click.command("init")
@dry_run
@writing
def init(is_dry: bool) -> None:
    """Add the events folder to the app in this folder.

    Makes register_events.py, too. What is there already stays as it is.
    """
    from ..scaffold.changes import write
    from ..scaffold.folder import FILES
    from ..scaffold.folder import plan_folder

    here = Path()
    changes = plan_folder(here)
    if not is_dry:
        write(here, changes)
    made = {change.path for change in changes}
    for path in FILES:
        click.echo(f"{('would be made' if is_dry else 'made') if path in made else 'there already':13}  {path}")
    if not made:
        click.echo("Nothing to do.")
        return
    click.echo("\nAdd to your app, if it has no Condor yet:\n")
    for line in (*IMPORTS, "", f"{CALL}  # once app is made"):
        click.echo(f"    {line}".rstrip())
