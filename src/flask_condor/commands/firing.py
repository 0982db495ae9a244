"""``flask events fire``: fires an event by hand, and tells what ran and what was queued."""

from __future__ import annotations

import sys
import typing as t
from datetime import UTC
from datetime import datetime

import click
import msgspec

from ..by_hand import fire_by_hand
from ..errors import EventLoop
from ..event import Event
from .shown import Refused
from .shown import as_json
from .shown import command
from .shown import line_of
from .shown import manager_here
from .shown import show
from .times import Moment
from .times import Span
from .times import iso_time
from .times import shown_time

if t.TYPE_CHECKING:
    from ..by_hand import Told

HEADERS = ["Job", "Run", "State", "Due (UTC)", "Delivery", "Error"]


@click.command("fire")
@click.argument("name")
@click.argument("payload", required=False)
@click.option("--id", help="The event's id; fired again with the same one, nothing is queued twice.")
@click.option("--delay", type=Span(), help="Queue all its jobs, due after so long: 90 (seconds), 24h, 1h30m, 7d.")
@click.option(
    "--at", type=Moment(needs_zone=True), help="Queue all its jobs, due then: 2030-01-31T09:00+01:00, with a time zone."
)
@as_json
@command
def fire(name: str, payload: str | None, id: str | None, delay: float | None, at: float | None, is_json: bool) -> None:
    """Fire event NAME, and tell what its jobs did.

    NAME must be registered. PAYLOAD is JSON: in single quotes, - to read it from the standard input, or @FILE. Without
    one it is null. Jobs that are not queued run here, before the command ends.
    """
    manager = manager_here()
    if delay is not None and at is not None:
        raise click.UsageError("--delay and --at were both given: type one of them.")
    event: Event[t.Any] = Event(name, decoded(read(payload)), id_from(id))
    moment = None if at is None else datetime.fromtimestamp(at, UTC)
    try:
        fired = fire_by_hand(manager, event, delay=delay, at=moment)
    except EventLoop as error:
        raise click.ClickException(str(error)) from error
    if fired.fired_before is not None:
        before = shown_time(fired.fired_before)
        click.echo(f"Event {event.id} was fired at {before} UTC already: nothing was queued again.", err=True)
    report(event, fired.told, is_json=is_json)
    if fired.has_failed:
        raise click.exceptions.Exit(1)


def id_from(text: str | None) -> str:
    if text == "":
        raise click.UsageError("--id is empty: type an id, or leave --id out.")
    return text or ""


def read(payload: str | None) -> bytes:
    """Return the JSON text that is meant by *payload*."""
    if payload is None:
        return b"null"
    if payload == "-":
        return sys.stdin.buffer.read()
    if not payload.startswith("@"):
        return payload.encode()
    try:
        with open(payload[1:], "rb") as file:
            return file.read()
    except OSError as error:
        raise Refused(
            f"{payload[1:]!r} cannot be read: {error.strerror}. Type @ and the path of a JSON file."
        ) from error


def decoded(text: bytes) -> t.Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        example = """'{"user": "ada"}'"""
        raise Refused(f"the payload is no JSON: {error}. Type it in single quotes, such as {example}.") from error


def report(event: Event[t.Any], told: list[Told], *, is_json: bool) -> None:
    if is_json:
        keys = ["job", "run", "state", "due", "delivery", "error"]
        jobs = [dict(zip(keys, (*one[:3], iso_time(one[3]), *one[4:]), strict=True)) for one in told]
        show(is_json, ["id", "event", "jobs"], [[event.id, event.name, jobs]])
        return
    click.echo(f"Fired {line_of(event.name)}, event {line_of(event.id)}.")
    rows = [[path.rpartition(":")[2], run, state, shown_time(due), *rest] for path, run, state, due, *rest in told]
    show(is_json, HEADERS, rows, "No job ran: none is registered for it, or events are disabled.")
