"""What the commands that write a user's files share: they need no app, and tell errors in one line."""

from __future__ import annotations

import functools
import typing as t
from collections.abc import Callable
from collections.abc import Sequence
from pathlib import Path

import click

from ..scaffold.refusal import ScaffoldRefused
from .loading import Refused

if t.TYPE_CHECKING:
    from ..scaffold.changes import Change

P = t.ParamSpec("P")

dry_run = click.option("--dry-run", "is_dry", is_flag=True, help="Show what would be written, and write nothing.")


def writing(function: Callable[P, None]) -> Callable[P, None]:
    """Run a command without an app, and tell errors in one line: exit status 2 for bad input, else 1."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except ScaffoldRefused as error:
            raise Refused(str(error)) from error
        except OSError as error:
            raise click.ClickException(f"{error.filename}: {error.strerror}.") from error

    return run


def apply(changes: Sequence[Change], *, is_dry: bool) -> None:
    """Print *changes* as a diff, and write them."""
    from ..scaffold.changes import write

    for change in changes:
        click.echo(change.diff(), nl=False)
    if is_dry:
        click.echo("Nothing was written (--dry-run).", err=True)
        return
    write(Path(), changes)
    click.echo(f"Wrote {len(changes)} files.", err=True)
