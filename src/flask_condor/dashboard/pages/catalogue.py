"""The screen Catalogue: the events that the app has registered, what the log knows of each, and a form to try one."""

from __future__ import annotations

import json
import typing as t
from collections.abc import Iterable

import msgspec
from flask import Response
from flask import abort
from flask import current_app
from flask import request

from ...asyncapi import document_of
from ...by_hand import fire_by_hand
from ...edited import PayloadWrong
from ...edited import checked_json
from ...errors import OperationRefused
from ...errors import PayloadNotSerializable
from ...event import Event
from ...faults import PayloadInvalid
from ...history import reading
from ...job import Job
from ...own_code import Constant
from ...own_code import Place
from ...places import shown_path
from ...rates import HOUR
from ...reactions import jobs_in_order
from ...reactions import reactions_to
from ..export import exported
from ..frame import back
from ..frame import shown
from ..here import actor
from ..here import log
from ..here import manager
from ..here import now
from ..links import changed
from ..links import link
from ..own import Said
from ..own import said_here
from ..query import Period
from ..query import cursor
from ..query import cursor_of
from ..query import period
from ..query import text
from ..query import wants
from ..reading.catalogue import LOOKED_AT
from ..reading.catalogue import MOST
from ..reading.catalogue import Ran
from ..reading.catalogue import Seen
from ..reading.catalogue import last_fired
from ..reading.catalogue import ran_since
from ..reading.catalogue import seen_since
from ..replaying import fresh_id
from ..replaying import id_for
from ..routes import Routes
from ..shapes import iso
from ..shapes import pretty
from ..shapes import utc
from ..trial import Input
from ..trial import Schema
from ..trial import example_of
from ..trial import inputs_of
from ..trial import payload_from

if t.TYPE_CHECKING:
    from sqlalchemy.engine import Connection
    from werkzeug.sansio.response import Response as AnyResponse

    from ...schedule import Schedule

routes = Routes()
ROWS = 100
DAY = 24 * HOUR
FIELDS = (
    *("event", "registered", "constant", "constant_at", "payload_type", "jobs", "registered_at", "fired_at_code"),
    *("last_fired", "runs_24h", "failed_24h"),
)


class Entry(msgspec.Struct, frozen=True):
    """What is known of one name, from the code."""

    name: str
    is_registered: bool
    constant: Constant | None
    kind: str | None
    """The name of its payload type."""
    jobs: list[Job]
    places: list[Place]
    """Where the app's own code fires it."""

    @classmethod
    def of(cls, name: str, said: Said) -> Entry:
        """Return it, of a registered name or any other."""
        registry = manager().registry
        is_registered, kind = name in registry.jobs, registry.typed_names.get(name)
        called = None if kind is None else getattr(kind.kind, "__qualname__", None) or repr(kind.kind)
        jobs = jobs_in_order(registry, name) if is_registered else []
        return cls(name, is_registered, said.constants.get(name), called, jobs, said.places.get(name, []))

    @property
    def where(self) -> str | None:
        """Where its first job was registered."""
        return shown_path(self.jobs[0].where) if self.jobs else None

    def has(self, wanted: str) -> bool:
        """Tell whether its name, constant, type or a job of it has *wanted* in it."""
        words = [self.name, self.kind or "", "" if self.constant is None else self.constant.name]
        return any(wanted.lower() in word.lower() for word in (*words, *(job.path for job in self.jobs)))


@routes.page("/catalogue")
def catalogue() -> Response:
    """Show the registered events, and those that were fired and are not registered."""
    wanted, after, time, said = text("find"), after_here(), period(), said_here()
    with reading(log()) as connection:
        ran = ran_since(connection, now() - DAY, now())
        fired, seen = fired_in(connection, time)
    entries = entries_here(said, seen, wanted or "")
    if wants("csv") or wants("json"):
        return exported((cells_of(one, fired, ran.get(one.name)) for one in entries), FIELDS, "catalogue")
    rows = [one for one in entries if one.is_registered and one.name > after]
    return shown(
        "condor/catalogue.html",
        title="Catalogue",
        wanted=wanted,
        count=len(manager().registry.jobs),
        rows=rows[:ROWS],
        unknown=[one for one in entries if not one.is_registered][:MOST],
        seen=seen,
        fired=fired,
        ran=ran,
        by_clock=names_by_clock(),
        untold=said.untold,
        looked_at=LOOKED_AT,
        next_url=next_url(rows),
    )


def fired_in(connection: Connection, time: Period) -> tuple[dict[str, float], dict[str, Seen]]:
    """Return when each name was fired last, and those that were fired in the period."""
    newest = seen_since(connection, time.since)
    in_time = seen_since(connection, time.since, time.until) if time.key == "custom" else newest
    return {one.name: one.last_at for one in newest}, {one.name: one for one in in_time if one.count}


def after_here() -> str:
    """Return the name after which the list goes on."""
    place = cursor(str)
    return "" if place is None else t.cast(str, place[0])


def entries_here(said: Said, seen: Iterable[str], wanted: str) -> list[Entry]:
    """Return the registered names, then those that were *seen* in the log, or are fired in code, and are not.

    :param wanted: what all of them have.
    """
    registered = sorted(str.__str__(name) for name in manager().registry.jobs)
    unknown = sorted({*seen, *said.places}.difference(registered))
    entries = [Entry.of(name, said) for name in (*registered, *unknown)]
    return [one for one in entries if one.has(wanted)]


def next_url(rows: list[Entry]) -> str | None:
    return changed(cursor=cursor_of((rows[ROWS - 1].name,))) if len(rows) > ROWS else None


def names_by_clock() -> set[str]:
    """Return the names that are fired by schedules."""
    return {one.name for one in schedules()}


def schedules() -> list[Schedule]:
    """Return what is fired by the clock."""
    return list(manager().schedules) if "schedules" in vars(manager()) else []


def cells_of(one: Entry, fired: dict[str, float], ran: Ran | None) -> list[object]:
    constant = [None, None] if one.constant is None else [one.constant.name, str(one.constant.place)]
    jobs = [f"{job.path} ({job.run})" for job in one.jobs]
    last = iso(fired[one.name]) if one.name in fired else None
    runs = [0, 0] if ran is None else [ran.runs, ran.bad]
    return [one.name, one.is_registered, *constant, one.kind, jobs, one.where, list(map(str, one.places)), last, *runs]


@routes.page("/asyncapi.json")
def asyncapi() -> Response:
    """Send the AsyncAPI document, as `flask events asyncapi` prints it."""
    document = document_of(current_app._get_current_object(), manager().registry)  # type: ignore[attr-defined]  # a proxy
    response = Response(json.dumps(document, indent=2), content_type="application/json; charset=utf-8")
    response.headers["Content-Disposition"] = 'attachment; filename="asyncapi.json"'
    return response


@routes.page("/catalogue/<path:name>")
def event(name: str) -> Response:
    """Show one registered event."""
    return page_of(name)


def page_of(name: str, *, typed: dict[str, str] | None = None, faults: list[str] | None = None) -> Response:
    """Return the page of one event.

    :param typed: what was typed into its form, when that was refused for its *faults*.
    """
    registry, said = registry_with(name), said_here()
    with reading(log()) as connection:
        last, ran = last_fired(connection, name), ran_since(connection, now() - DAY, now())
    schema = Schema.of(registry, name)
    return shown(
        "condor/catalogue_event.html",
        title=name,
        status=422 if faults else 200,
        entry=Entry.of(name, said),
        reactions=[(one, shown_path(one.where) if one.where else None) for one in reactions_to(registry, name)],
        schema=schema.shown,
        inputs=inputs_of(schema),
        typed=typed or {"payload": pretty(example_of(schema))},
        faults=faults or [],
        once=fresh_id(),
        last=last,
        ran=ran.get(name),
        clock=[(one, one.next_after(now())) for one in schedules() if one.name == name],
        looked_at=LOOKED_AT,
    )


def registry_with(name: str) -> t.Any:
    registry = manager().registry
    if name not in registry.jobs:
        abort(404, "No event of that name is registered: see the catalogue, or `flask events list`.")
    return registry


@routes.action("/catalogue/<path:name>/fire", needs="replay")
def fire(name: str) -> AnyResponse:
    """Fire a test event, once however often the form is sent; where its payload is wrong, show the form again."""
    inputs = inputs_of(Schema.of(registry_with(name), name))
    payload, faults = payload_typed(inputs)
    if payload is not None:
        try:
            return fire_one(name, payload)
        except PayloadInvalid as error:
            faults = [str(fault) for fault in error.faults]
        except PayloadNotSerializable as error:
            faults = [str(error)]
    return page_of(name, typed=dict(request.form.items()), faults=faults)


def payload_typed(inputs: list[Input] | None) -> tuple[str | None, list[str]]:
    """Return the payload of the form as JSON text, or what is wrong with it."""
    try:
        if inputs is None:
            return checked_json(request.form.get("payload", "")), []
        value, faults = payload_from(inputs, request.form)
        return (None, faults) if faults else (checked_json(json.dumps(value)), [])
    except (PayloadWrong, PayloadNotSerializable) as error:
        return None, [str(error)]


def fire_one(name: str, payload: str) -> AnyResponse:
    """Fire it apart from this request: all its jobs are queued, and no session of the app's takes it along."""
    registry = manager().registry
    if registry.is_silent(name):
        raise OperationRefused("Nothing was fired: events are disabled in this process.")
    id = id_for(request.form.get("once", ""), payload)
    made: Event[t.Any] = Event(name, registry.typed_names.from_json(name, payload), id)
    events, who = manager(), actor()
    with registry.sessions.set_aside(), events.app.app_context():
        fired = fire_by_hand(events, made, delay=0, actor=who)
    if fired.fired_before is not None:
        told = f"That form was sent before: its event was fired at {utc(fired.fired_before)} UTC, and not again."
    else:
        told = f"Fired, with {len(fired.told)} {'job' if len(fired.told) == 1 else 'jobs'} queued."
    return back(message=told, to=link("/events", made.id))
