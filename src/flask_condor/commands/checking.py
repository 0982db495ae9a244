"""``flask events check``: what is wrong between an app's code, its registrations and its event log, for CI."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import click

from .shown import as_json
from .shown import cell_of
from .shown import command
from .shown import manager_here
from .shown import sentence
from .shown import show


@click.command("check")
@as_json
@command
def check(is_json: bool) -> None:
    """Find mistakes about events in the app's code, for CI.

    Errors are events that are fired but not registered, and stored deliveries whose job is gone; with one the exit
    status is 1. Warnings are events that no code fires, two constants of one name, names off the convention, and jobs
    annotated wrongly. The code is read, not run; tests, benchmarks, docs, hidden folders and virtual environments are
    left out.
    """
    from ..checks import Checks

    checks = Checks(manager_here())
    findings: list[tuple[str, str | None, str, str]] = [
        (one.level, one.where, one.what, one.advice) for one in checks.run()
    ]
    untold = "what is fired here is only known when the code runs, so it was not checked"
    findings += [("note", str(place), untold, "") for place in checks.firings.untold]
    if is_json:
        show(True, ["Level", "Where", "What", "Advice"], findings)
    else:
        tell(findings, checks.count_files())
    if any(level == "error" for level, *_ in findings):
        click.get_current_context().exit(1)


def tell(findings: Sequence[tuple[str, str | None, str, str]], files: int) -> None:
    for level, where, what, advice in findings:
        click.echo(cell_of(": ".join(part for part in (where, level, f"{sentence(what)} {advice}".rstrip()) if part)))
    counts = Counter(level for level, *_ in findings)
    told = ", ".join(counted(counts[level], level) for level in ("error", "warning", "note") if counts[level])
    click.echo(f"{counted(files, 'file')} read: {told or 'nothing is wrong'}.")


def counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' if count != 1 else ''}"
