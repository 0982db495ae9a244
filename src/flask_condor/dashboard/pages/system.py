"""The screen System: how the app is set up, what the event log takes, what is wrong with it, and who did what."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator

from flask import current_app
from flask import request

from ...diagnosis import diagnose
from ...diagnosis import look_at_extras
from ...history import reading
from ...prune import DAY
from ..export import exported
from ..frame import shown
from ..here import log
from ..here import manager
from ..here import redaction
from ..installation import settings
from ..installation import telemetry
from ..installation import versions
from ..links import changed
from ..links import link
from ..query import cursor
from ..query import cursor_of
from ..query import text
from ..reading.audited import Note
from ..reading.audited import Place
from ..reading.audited import Wanted
from ..reading.audited import notes
from ..reading.lag import rates_lag
from ..reading.sizes import Kept
from ..reading.sizes import database_bytes
from ..reading.sizes import kept
from ..reading.sizes import server_of
from ..reading.sizes import sizes
from ..routes import Routes
from ..shapes import ago
from ..shapes import iso
from ..shapes import span

if t.TYPE_CHECKING:
    from flask import Response

routes = Routes()
ROWS = 50
FIELDS = ("at", "actor", "action", "event_id", "delivery_id", "detail")


@routes.page("/system")
def system() -> Response:
    """Show how the app is set up, and what the event log takes."""
    with reading(log()) as connection:
        server, whole, tables = server_of(connection), database_bytes(connection), sizes(connection)
        reaches, lag = kept(connection), rates_lag(connection)
    return shown(
        "condor/system.html",
        title="System",
        tabs=tabs(),
        settings=settings(manager()),
        versions=versions(),
        telemetry=telemetry(manager()),
        server=server,
        whole=whole,
        sizes=tables,
        kept=reaches,
        next_prune=next_prune(reaches),
        lag=lag_of_rates(lag),
        unwritten=manager().queueing.unwritten,
    )


@routes.page("/system/doctor")
def doctor() -> Response:
    """Show what `flask events doctor` finds."""
    remarks = [*diagnose(current_app._get_current_object()), look_at_extras()]  # type: ignore[attr-defined]  # a proxy
    wrong = [one for one in remarks if one.level != "ok"]
    return shown("condor/doctor.html", title="System", tabs=tabs(), remarks=remarks, wrong=len(wrong))


@routes.page("/system/audit")
def audit() -> Response:
    """Show who did what."""
    wanted = Wanted(actor=text("actor"), action=text("action", most=16), event_id=text("event", most=255))
    if "format" in request.args:
        return exported(map(fields_of, all_notes(wanted)), FIELDS, "audit")
    before = t.cast("Place | None", cursor(float, int))
    with reading(log()) as connection:
        found, place = notes(connection, wanted, ROWS, before)
    hidden = redaction()
    return shown(
        "condor/audit.html",
        title="System",
        tabs=tabs(),
        wanted=wanted,
        notes=[(note, hidden.of(note.value)) for note in found],
        next_url=None if place is None else changed(cursor=cursor_of(place)),
    )


def tabs() -> list[tuple[str, str, bool]]:
    named = ("/system", "Set-up"), ("/system/doctor", "Doctor"), ("/system/audit", "Audit")
    return [(link(path), label, request.path.endswith(path)) for path, label in named]


def next_prune(reaches: Kept) -> str:
    """Tell when what was kept longest is forgotten."""
    days = manager().config.retention_done
    if days is None:
        return "never: CONDOR_RETENTION_DONE is None"
    if reaches.oldest_end is None:
        return "nothing has ended yet"
    return f"the oldest is due {ago(reaches.oldest_end + days * DAY)}; a worker looks once a minute"


def lag_of_rates(seconds: float | None) -> str:
    """Tell how far the rates are behind."""
    if seconds is None:
        return "nothing has ended yet"
    if seconds > 0:
        return f"{span(seconds)}: `flask events stats --rebuild` counts what is missing"
    return "0 s: each run is counted in the transaction that writes down how it ended"


def all_notes(wanted: Wanted) -> Iterator[Note]:
    place: Place | None = None
    with reading(log()) as connection:
        while True:
            found, place = notes(connection, wanted, 1000, place)
            yield from found
            if place is None:
                return


def fields_of(note: Note) -> list[object]:
    detail = redaction().of(note.value)
    return [iso(note.at), note.actor, note.action, note.event_id, note.delivery_id, detail]
