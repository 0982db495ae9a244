"""``flask events fire``: fires an event by hand, and tells what ran and what was queued."""

from __future__ import annotations

import logging
import re
import sys
import typing as t
from datetime import UTC
from datetime import datetime

import click
import msgspec

from ..errors import EventLoop
from ..errors import JobsFailed
from ..errors import shorten
from ..event import Event
from ..job import name_of
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
    from ..history import Run
    from ..manager import EventsManager

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
    listener = Listener(event)
    manager.app.logger.addHandler(listener)
    try:
        manager.fire(event, delay=delay, at=moment)
    except JobsFailed as failed:
        listener.failures |= {job: f"{type(error).__name__}: {shorten(error)}" for job, error in failed.failures}
    except EventLoop as error:
        raise click.ClickException(str(error)) from error
    finally:
        manager.app.logger.removeHandler(listener)
        manager.queueing.flush()
    told = tell(manager, event, dict(listener.failures), is_queued=delay is not None or at is not None)
    report(event, told, is_json=is_json)
    if listener.failures:
        raise click.exceptions.Exit(1)


class Listener(logging.Handler):
    """Hears from the app's log which jobs of *event* failed: not all failures are raised."""

    def __init__(self, event: Event[t.Any]) -> None:
        super().__init__(logging.ERROR)
        self._event = event
        self.failures: dict[str, str] = {}
        """What went wrong, by the name of the job."""

    def emit(self, record: logging.LogRecord) -> None:
        told = vars(record)
        if (told.get("action"), told.get("event_id")) == ("job_failed", self._event.id):
            what = record.getMessage().partition(" failed: ")[2]
            self.failures[re.split("[:.]", told["job"])[-1]] = what.removesuffix("; it is not run again")


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


Told = tuple[str, str, str, float | None, int | None, str | None]
"""Of a job: its path, run word, state, and, where it has them, due time, delivery and error."""


def tell(manager: EventsManager, event: Event[t.Any], failures: dict[str, str], *, is_queued: bool) -> list[Told]:
    """Return what became of each job of *event*; of those that are queued, as the event log has them.

    :param is_queued: whether all of them are.
    """
    jobs = () if manager.registry.is_silent(event.name) else manager.registry.jobs_of(event.name)
    queued = [job for job in jobs if is_queued or job.run == "queued"]
    stored = {run.job: run for run in queued_runs(manager, event)} if queued else {}
    told: list[Told] = []
    for job in jobs:
        if job in queued:
            told.append(told_of(job.path, stored.get(job.path)))
        else:
            told.append(told_here(job.path, job.run, failures.pop(name_of(job.function), None)))
    return told + [told_here(other, "now", error) for other, error in failures.items()]


def told_here(path: str, run: str, error: str | None) -> Told:
    return (path, run, "done" if error is None else "failed", None, None, error)


def told_of(path: str, run: Run | None) -> Told:
    if run is None:
        return (path, "queued", "not stored", None, None, None)
    return (path, "queued", run.state, run.due_at, run.id, None)


def queued_runs(manager: EventsManager, event: Event[t.Any]) -> list[Run]:
    """Return the queued deliveries of *event*, and say so when they are those of an earlier fire."""
    from ..history import event_of
    from ..history import reading
    from ..history import runs_of

    with reading(manager.log) as connection:
        stored, runs = event_of(connection, event.id), runs_of(connection, event.id)
    if stored is not None and stored.fired_at != event._made_at:
        before = shown_time(stored.fired_at)
        click.echo(f"Event {event.id} was fired at {before} UTC already: nothing was queued again.", err=True)
    return [run for run in runs if run.run == "queued"]


def report(event: Event[t.Any], told: list[Told], *, is_json: bool) -> None:
    if is_json:
        keys = ["job", "run", "state", "due", "delivery", "error"]
        jobs = [dict(zip(keys, (*one[:3], iso_time(one[3]), *one[4:]), strict=True)) for one in told]
        show(is_json, ["id", "event", "jobs"], [[event.id, event.name, jobs]])
        return
    click.echo(f"Fired {line_of(event.name)}, event {line_of(event.id)}.")
    rows = [[path.rpartition(":")[2], run, state, shown_time(due), *rest] for path, run, state, due, *rest in told]
    show(is_json, HEADERS, rows, "No job ran: none is registered for it, or events are disabled.")
