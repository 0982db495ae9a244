"""The option ``--in-worker``: has a worker do what a command would do at once, as an operation that can be followed."""

from __future__ import annotations

import typing as t

import click

from .shown import manager_here
from .shown import show

if t.TYPE_CHECKING:
    from ..bulk_operations import Chosen

in_worker = click.option(
    "--in-worker", "is_in_worker", is_flag=True, help="Let a worker do it: `flask events operations` follows it."
)


def begin_in_worker(chosen: Chosen, asked: str, *, yes: bool, is_json: bool) -> None:
    """Ask, unless *yes*, and begin an operation.

    :param asked: what is asked, with {} for how many.
    """
    from ..bulk_operations import begin
    from ..bulk_operations import count
    from ..bulk_operations import title_of

    manager = manager_here()
    with manager.log.read() as connection:
        counted = count(connection, manager.registry, chosen)
    empty = not counted.count and not counted.is_more
    if not empty and not yes:
        click.confirm(f"{asked.format(counted)}, in a worker?", abort=True, err=True)
    numbers = []
    if not empty:
        with manager.log.change("no operation was begun") as connection:
            numbers.append(begin(connection, manager.registry, chosen, title=title_of(chosen), actor="cli"))
    show(is_json, ["Operation"], [[number] for number in numbers], "Nothing to do: there is none.")
