"""``flask events gen``: an event with its jobs, or one more job of an event."""

from __future__ import annotations

import typing as t
from pathlib import Path

import click

from ..job import Run
from .project import apply
from .project import dry_run
from .project import writing

run_word = click.option("--run", type=click.Choice(t.get_args(Run)), help="When the job runs.  [default: now]")


@click.group("gen")
def gen() -> None:
    """Add an event or a job to the app in this folder."""


@gen.command("event")
@click.argument("constant")
@click.option("--name", help="The event's name; by default made from the constant: USER_VERIFIED is user.verified.")
@click.option("--job", "jobs", multiple=True, metavar="NAME", help="A job to make for it; may be repeated.")
@run_word
@dry_run
@writing
def event(constant: str, name: str | None, jobs: tuple[str, ...], run: str | None, is_dry: bool) -> None:
    """Add the event CONSTANT, and the jobs that run when it is fired.

    Writes its line in events/event_names.py and register_events.py, and for each job events/jobs/NAME.py with a test.
    """
    from ..scaffold.generating import plan_event

    if run is not None and not jobs:
        raise click.UsageError("--run says when a job runs: name it, too, as in --job send_badge.")
    apply(plan_event(Path(), constant, name, jobs, run or "now"), is_dry=is_dry)


@gen.command("job")
@click.argument("name")
@click.option("--event", "constant", required=True, metavar="CONSTANT", help="The event's constant: USER_VERIFIED.")
@run_word
@dry_run
@writing
def job(name: str, constant: str, run: str | None, is_dry: bool) -> None:
    """Add the job NAME to an event.

    Writes its line in register_events.py, and events/jobs/NAME.py with a test.
    """
    from ..scaffold.generating import plan_job

    apply(plan_job(Path(), name, constant, run or "now"), is_dry=is_dry)
