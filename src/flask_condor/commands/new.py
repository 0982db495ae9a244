"""``flask events new``: a new project."""

from __future__ import annotations

from pathlib import Path

import click

from .project import writing


@click.command("new")
@click.argument("name")
@writing
def new(name: str) -> None:
    """Write a new project to the folder NAME.

    It is a small service whose jobs run on events: it starts with `flask run`, passes its own tests, and is yours to
    change.
    """
    from ..scaffold.skeleton import make_project

    written = make_project(name, Path())
    click.echo(f"Made {name} with {len(written)} files. Try it:")
    for line in (f"cd {name}", "flask run", "pytest"):
        click.echo(f"    {line}")
