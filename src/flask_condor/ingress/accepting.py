"""Accepting: events that came in are checked, and stored with a delivery for each of their jobs, all or none."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import contextmanager

import msgspec

from ..due import NOW
from ..due import Due
from ..due import due_from
from ..errors import EventIdTaken
from ..errors import JobNotFindable
from ..event import Event
from ..event import Family
from ..event import Origin
from ..event import originate
from ..faults import PayloadInvalid
from ..faults import faults_in
from ..redaction import redaction_by
from ..registry import refuse_namesakes
from ..registry import refuse_unstorable
from ..writing import write_event
from .receipts import Arrival
from .receipts import id_taken
from .receipts import know_again
from .receipts import receipt_of
from .rejection import Rejected
from .sending import check_name
from .sending import confirm

if t.TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from ..job import Job
    from ..manager import EventsManager
    from ..registry import Registry
    from .incoming import Incoming
    from .sending import Sender


class Accepted(msgspec.Struct, frozen=True):
    """An event as it is stored."""

    id: str
    name: str
    payload: str
    """JSON."""
    is_orphan: bool
    """Whether it had no job when it came in."""


class Draft(msgspec.Struct, frozen=True):
    """An event that passed all checks, and is not stored yet."""

    number: int
    incoming: Incoming
    event: Event[t.Any]
    payload: str
    jobs: list[Job]
    due: Due
    receipt: dict[str, t.Any]


def accept(manager: EventsManager, incoming: Sequence[Incoming], sender: Sender, arrival: Arrival) -> list[Accepted]:
    """Store *incoming* in one transaction, each with a pending delivery for every job, whatever its run word.

    What was stored before, by the same id and with the same content, is returned as it was then, and nothing of it
    runs again. Once its event is pruned, an id is new again.

    :raises Rejected: for the first that may not be sent, is not of its name's type, or has the id of another event; for
        a *sender* whose token has ended.
    :raises DelayInvalid: for a wrong delay.
    :raises LogUnavailable: when the database fails.
    """
    drafts = []
    for number, one in enumerate(incoming, 1):
        with naming(number, one):
            refuse_unwanted(manager, one.name, sender)
            drafts.append(draft(manager, one, arrival, number))
    with manager.log.begin("nothing was accepted") as connection:
        confirm(connection, sender)
        accepted = store(connection, drafts)
    manager.queueing.on_accept()
    return accepted


@contextmanager
def naming(number: int, incoming: Incoming) -> Iterator[None]:
    """Let a rejection within this block say which event of a batch it is of."""
    try:
        yield
    except Rejected as rejected:
        if incoming.form != "cloudevents-batch":
            raise
        raise rejected.in_batch(number) from rejected.__cause__


def refuse_unwanted(manager: EventsManager, name: str, sender: Sender) -> None:
    check_name(sender, manager.config, name)
    if manager.config.trigger_strict and not manager.registry.jobs_of(name):
        raise Rejected(422, "no-job", "Nothing listens to events of that name here: correct it, or register a job.")


def draft(manager: EventsManager, incoming: Incoming, arrival: Arrival, number: int = 1) -> Draft:
    registry, name = manager.registry, incoming.name
    event: Event[t.Any] = Event(name, incoming.payload, incoming.id or "")
    refuse_unstorable(event.id, "id")
    originate(event, Origin("http", None, (), Family(), arrival.trace, incoming.subject))
    check_payload(manager, event)
    return Draft(
        number=number,
        incoming=incoming,
        event=event,
        payload=json_of(manager, event),
        jobs=jobs_for(registry, name),
        due=NOW if incoming.delay is None else due_from(incoming.delay, None),
        receipt=receipt_of(incoming, arrival),
    )


def jobs_for(registry: Registry, name: str) -> list[Job]:
    jobs = registry.jobs_once(name)
    try:
        refuse_namesakes(name, jobs)
    except JobNotFindable as error:  # which only this event shows of two jobs that are not queued otherwise
        raise Rejected(503, "job-not-findable", "Its jobs cannot be queued here: tell whoever runs the app.") from error
    return jobs


def json_of(manager: EventsManager, event: Event[t.Any]) -> str:
    typed_names = manager.registry.typed_names
    if typed_names.get(event.name) is None:
        return msgspec.json.encode(event.payload).decode()  # all of it was looked at when it was read
    return typed_names.to_json(event)


def check_payload(manager: EventsManager, event: Event[t.Any]) -> None:
    """Make sure that the payload is what its name says; who sent it is told every field, and no redacted value."""
    typed_names = manager.registry.typed_names
    try:
        typed_names.check(event)
    except PayloadInvalid as error:
        kind, redacted = typed_names.get(event.name), redaction_by(manager.config.redact_keys).of(event.payload)
        shown = {one.path: str(one) for one in faults_in(redacted, kind and kind.kind)}
        told = "; ".join(shown.get(one.path, f"{one.path} is wrong") for one in error.faults)
        why = f"not as its type says: {', '.join(one.path for one in error.faults)}"
        raise Rejected(422, "payload-invalid", f"{told}.", why=why) from error


def store(connection: Connection, drafts: Sequence[Draft]) -> list[Accepted]:
    """Write all of *drafts*, by the order of their ids: no two batches can block each other."""
    accepted = {}
    for one in sorted(drafts, key=id_of):
        with naming(one.number, one.incoming):
            accepted[one.number] = write(connection, one)
    return [accepted[one.number] for one in drafts]


def id_of(one: Draft) -> str:
    return one.event.id


def write(connection: Connection, one: Draft) -> Accepted:
    """Ask no question first: of two that come at once, on whatever workers, the second waits here for the first."""
    try:
        is_new = write_event(connection, one.event, one.payload, one.jobs, one.due, receipt=one.receipt)
    except EventIdTaken as error:
        raise id_taken() from error
    if is_new:
        return Accepted(one.event.id, one.event.name, one.payload, not one.jobs)
    payload, is_orphan, is_redacted = know_again(connection, one.event.id, one.receipt["digest"])
    # by their digests they were the same
    return Accepted(one.event.id, one.event.name, one.payload if is_redacted else payload, bool(is_orphan))
