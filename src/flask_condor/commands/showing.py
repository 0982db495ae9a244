"""``flask events show``: one event, with its payload, its deliveries, and the chain that it stands in."""

from __future__ import annotations

import json
import typing as t
from collections.abc import Iterable

import click

from ..errors import OperationRefused
from ..redaction import redaction_by
from .shown import as_json
from .shown import cell_of
from .shown import command
from .shown import manager_here
from .shown import show
from .shown import target_from
from .times import iso_time
from .times import shown_time

if t.TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from ..history import Family
    from ..history import Relative
    from ..history import Run
    from ..history import Stored
    from ..receipt import Receipt
    from ..timeline import Step

    class Logged(t.TypedDict):
        """What one attempt logged."""

        attempt: int
        ended_at: str | None
        lines: list[str]


MOST = 50
"""How many events of a family are shown."""
HEADERS = ["Delivery", "Job", "Run", "State", "Attempt", "Due (UTC)", "Took"]
MARK = " <-- this one"


@click.command("show")
@click.argument("id")
@click.option("--full", is_flag=True, help="Show the whole traceback of an error, not only its last line.")
@as_json
@command
def show_one(id: str, full: bool, is_json: bool) -> None:
    """Show one event: its payload, deliveries and chain. Secrets in it are hidden.

    ID is the id of an event, or the number of a delivery of it. The chain goes from the event that began it down to
    all that followed.
    """
    from ..history import family_of
    from ..history import reading
    from ..history import runs_of
    from ..receipt import receipt_of
    from ..timeline import attempts_of

    with reading(manager_here().log) as connection:
        event = find(connection, id)
        runs, family = runs_of(connection, event.id), family_of(connection, event, MOST)
        attempts = attempts_of(connection, [run.id for run in runs], shown=0)
        receipt = receipt_of(connection, event.id)
    event, runs = without_secrets(event, runs)
    logged = {id: logged_in(steps) for id, steps in attempts.items()}
    if is_json:
        click.echo(json.dumps(fields_of(event, runs, family, logged, receipt)))
        return
    show_event(event, receipt)
    show(False, HEADERS, map(cells_of, runs), "No deliveries.")
    for run in runs:
        show_end(run, full=full)
        show_logged(run, logged.get(run.id, []))
    if family.count > 1:
        click.echo("\nChain:")
        for line in tree_of(family, event.id):
            click.echo(f"  {line}")


def find(connection: Connection, id: str) -> Stored:
    """Return what *id* names; one of digits only may be that of an event, too."""
    from ..history import event_of

    event = event_of(connection, target_from(id)) or event_of(connection, id)
    if event is None:
        raise OperationRefused(f"{id!r} is neither an event nor a delivery in the event log. See `flask events log`.")
    return event


def without_secrets(event: Stored, runs: list[Run]) -> tuple[Stored, list[Run]]:
    """Return both as they may be shown."""
    import msgspec

    from ..history import value_of
    from ..redacting import hidden_in

    redaction = redaction_by(manager_here().config.redact_keys)

    def shown(text: str) -> str:
        return json.dumps(hidden_in(value_of(text), redaction))

    replace = msgspec.structs.replace
    return replace(event, payload=shown(event.payload)), [
        run if run.result is None else replace(run, result=shown(run.result)) for run in runs
    ]


def logged_in(steps: list[Step]) -> list[Logged]:
    """Return what the attempts of a run logged, those that did, without its secrets."""
    hiding = redaction_by(manager_here().config.redact_keys)
    found = [(step.number, step.ended_at, step.lines) for step in steps if step.lines is not None]
    return [
        {"attempt": number, "ended_at": iso_time(at), "lines": hiding.of_lines(lines).split("\n")}
        for number, at, lines in found
    ]


def show_event(event: Stored, receipt: Receipt | None) -> None:
    """Print the fields of an event, those that it has, and its payload."""
    from ..history import value_of

    caused = None if event.cause_id is None else f"job {event.cause_job} of {event.cause_name} {event.cause_id}"
    fields = {
        "Event": event.name,
        "Id": event.id,
        "Fired": f"{shown_time(event.fired_at)} UTC, by {event.source}",
        "Subject": event.subject,
        "Sent by": None if receipt is None else f"{receipt.sender}, from {receipt.address or 'an unknown address'}",
        "Cause": caused,
        "Replay of": event.replay_of,
        "Orphan": "nobody listened" if event.is_orphan else None,
    }
    for field, value in fields.items():
        if value is not None:
            click.echo(f"{field + ':':<11}{cell_of(value)}")
    click.echo(
        f"Payload:   {'' if event.is_replayable else 'no JSON, and so not replayable; it looked like '}", nl=False
    )
    click.echo(pretty(value_of(event.payload)) + "\n")


def pretty(value: object) -> str:
    """Return *value* as JSON on several lines, with an escape for whatever a terminal would not just print."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return "".join(one if one.isprintable() or one == "\n" else json.dumps(one)[1:-1] for one in text)


def cells_of(run: Run) -> list[object]:
    return [run.id, run.job, run.run, run.state, run.attempt, shown_time(run.due_at), run.seconds]


def show_end(run: Run, *, full: bool) -> None:
    """Print what a delivery gave: the error of its last attempt, or its result."""
    from ..history import value_of

    if run.error is not None:
        told = run.error.strip().splitlines() or [""]
        click.echo(f"\nError of {run.id}: {cell_of(told[-1])}")
        for line in told if full else ():
            click.echo(f"  {cell_of(line)}")
    if run.result is not None:
        click.echo(f"\nResult of {run.id}: {pretty(value_of(run.result))}")


def show_logged(run: Run, logged: list[Logged]) -> None:
    """Print what the attempts of a delivery logged."""
    for one in logged:
        click.echo(f"\nLog of {run.id}, attempt {one['attempt']}:")
        for line in one["lines"]:
            click.echo(f"  {cell_of(line)}")


def tree_of(family: Family, marked: str) -> Iterable[str]:
    """Return the lines of a family: each event below the one that caused it, or below the root when that is not shown.

    :param marked: the id of the event that was asked for.
    """
    below = children_of(family)
    if all(member.id != family.root_id for member in family.members):
        yield f"{cell_of(family.root_id)}, which began it, is not in the log any more"
    waiting = [(member, "", "") for member in reversed(below.pop(None, []))]
    while waiting:
        member, before, indent = waiting.pop()
        yield before + told_of(member) + (MARK if member.id == marked else "")
        children = [(child, f"{indent}|-- ", f"{indent}|   ") for child in below.get(member.id, [])]
        children[-1:] = [(child, f"{indent}`-- ", f"{indent}    ") for child, *_ in children[-1:]]
        waiting += reversed(children)
    if family.count > len(family.members):
        yield f"and {family.count - len(family.members):,} more"


def children_of(family: Family) -> dict[str | None, list[Relative]]:
    """Return the members of a family by the id of the event that they stand below; by None those at the top."""
    known = {member.id for member in family.members}
    below: dict[str | None, list[Relative]] = {}
    for member in family.members:
        parent = member.cause_id if member.cause_id in known else family.root_id
        below.setdefault(None if member.id == family.root_id or parent not in known else parent, []).append(member)
    return below


def told_of(member: Relative) -> str:
    states = ", ".join(f"{count} {state}" for state, count in member.states.items())
    return cell_of("  ".join(word for word in (member.name, member.id, states) if word))


def fields_of(
    event: Stored, runs: list[Run], family: Family, logged: dict[int, list[Logged]], receipt: Receipt | None
) -> dict[str, object]:
    """Return all of it for JSON."""
    import msgspec

    from ..history import value_of

    asdict = msgspec.structs.asdict
    times = ("due_at", "started_at", "finished_at")
    deliveries = [asdict(run) | {at: iso_time(getattr(run, at)) for at in times} for run in runs]
    return {
        **asdict(event),
        "payload": value_of(event.payload),
        "path": value_of(event.path),
        "fired_at": iso_time(event.fired_at),
        "is_replayable": bool(event.is_replayable),
        "is_orphan": bool(event.is_orphan),
        "is_redacted": bool(event.is_redacted),
        "receipt": receipt and asdict(receipt),
        "deliveries": [
            fields | {"result": value_of(run.result), "log": logged.get(run.id, [])}
            for fields, run in zip(deliveries, runs, strict=True)
        ],
        "chain": [asdict(member) | {"fired_at": iso_time(member.fired_at)} for member in family.members],
        "chain_count": family.count,
    }
