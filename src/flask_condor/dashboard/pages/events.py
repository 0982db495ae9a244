"""The screen Events: what was fired, and what became of it; and the search field, which leads there."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator
from collections.abc import Mapping
from urllib.parse import urlencode

from flask import Response

from ...errors import shorten_repr
from ...history import reading
from ...meant import did_you_mean
from ..export import MOST as MOST_EXPORTED
from ..export import exported
from ..frame import shown
from ..here import log
from ..here import may
from ..here import redaction
from ..links import changed
from ..links import link
from ..query import QueryWrong
from ..query import choice
from ..query import cursor
from ..query import cursor_of
from ..query import period
from ..query import text
from ..query import wants
from ..reading.fired import SEARCHED
from ..reading.fired import Asked
from ..reading.fired import FiredEvent
from ..reading.fired import Place
from ..reading.fired import find
from ..reading.runs import STATES
from ..routes import Routes
from ..search import OF_RUNS
from ..search import SOURCES
from ..search import STATUSES
from ..search import SearchWrong
from ..search import parameters_of
from ..search import paths_of
from ..selecting import offered
from ..shapes import iso
from ..side_panel import panel_here

if t.TYPE_CHECKING:
    from werkzeug.sansio.response import Response as AnyResponse

routes = Routes()
ROWS = 50
FIELDS = (
    *("id", "name", "source", "fired_at", "status", "done", "jobs", "seconds", "chain", "root_id", "replay_of"),
    "subject",
)
LABELS = {"name": "Event", "status": "Status", "source": "Source", "job": "Job", "error": "Error"} | {
    "subject": "Subject",
    "payload": "Payload",
    "id": "Id",
    "root": "Chain of",
}


@routes.page("/events")
def events() -> Response:
    """Show the events of the period that the filters ask for, the newest first."""
    given, asked = given_here(), asked_here()
    oldest_first = choice("sort", ("newest", "oldest")) == "oldest"
    if wants("csv") or wants("json"):
        return exported(rows_of(asked, oldest_first=oldest_first), FIELDS, "events")
    with reading(log()) as connection:
        found = find(connection, asked, ROWS, place_here(), oldest_first=oldest_first)
        panel = panel_here(connection)
    return shown(
        "condor/events.html",
        title="Events",
        found=found,
        panel=panel,
        given=given,
        labels=LABELS,
        statuses=STATUSES,
        sources=SOURCES,
        oldest_first=oldest_first,
        searched=SEARCHED,
        selectable=offered("replay", "retry", "cancel"),
        replay_url=replay_url(asked, given),
        next_url=None if found.next is None else f"{with_mark(changed())}cursor={cursor_of(found.next)}",
    )


def replay_url(asked: Asked, given: Mapping[str, str | None]) -> str | None:
    """Return where all events of the one name that is asked for can be replayed; None where more is asked for."""
    names = [key for key, value in given.items() if value is not None]
    if names != ["name"] or "*" in (asked.name or "") or not may("replay"):
        return None
    times = {"from": iso(asked.since)[:19], "to": iso(asked.until)[:19] or None}
    return link("/operations/new", kind="replay", event=asked.name, **times)


@routes.page("/search")
def search() -> AnyResponse:
    """Lead from what was typed in the search field to the events that it asks for."""
    typed = text("q", most=1000) or ""
    try:
        wanted = parameters_of(typed)
    except SearchWrong as error:
        raise QueryWrong(str(error)) from error
    refuse_secrets(wanted.get("payload"))
    if wanted.keys() & set(OF_RUNS):
        return Response(status=303, headers={"Location": runs_url(wanted)})
    if list(wanted) == ["id"]:
        return Response(status=303, headers={"Location": link("/events", wanted["id"])})
    url = link("/events")
    return Response(status=303, headers={"Location": with_mark(url) + urlencode(wanted) if wanted else url})


def runs_url(wanted: Mapping[str, str]) -> str:
    """Return the URL of the runs in a state, or of a worker: it is what runs have, as events have a status."""
    others = wanted.keys() - {*OF_RUNS, "name", "job"}
    if others:
        asked = next(key for key in OF_RUNS if key in wanted)
        raise QueryWrong(f"{asked}: is of runs, which {min(others)}: does not tell apart. Type status: for events.")
    state = wanted.get("state")
    if state is not None and state not in STATES:
        raise QueryWrong(f"state:{shorten_repr(state)} is none of: {', '.join(STATES)}.{did_you_mean(state, STATES)}")
    return link("/runs", event=wanted.get("name"), job=wanted.get("job"), state=state, worker=wanted.get("worker"))


def with_mark(url: str) -> str:
    return url + ("&" if "?" in url else "?")


def given_here() -> dict[str, str | None]:
    """Return the filters of this page, as they stand in its URL."""
    return {key: text(key, most=1000 if key == "payload" else 255) for key in LABELS}


def asked_here() -> Asked:
    """Return which events this page is about.

    :raises QueryWrong: for an argument that means nothing, or asks for what redaction hides.
    """
    given, chosen = given_here(), period()
    choice("status", STATUSES)
    choice("source", SOURCES)
    refuse_secrets(given["payload"])
    paths = tuple(paths_of(given.pop("payload") or ""))
    return Asked(since=chosen.since, until=chosen.until if chosen.key == "custom" else None, payload=paths, **given)


def refuse_secrets(payload: str | None) -> None:
    """Make sure that nobody finds out, by looking for it, what is hidden from them."""
    try:
        paths = paths_of(payload or "")
    except SearchWrong as error:
        raise QueryWrong(str(error)) from error
    hiding = redaction()
    for keys, _ in paths:
        for key in keys:
            if hiding.hides(key):
                raise QueryWrong(f"payload.{'.'.join(keys)} is hidden (CONDOR_REDACT_KEYS) and cannot be searched for.")


def place_here() -> Place | None:
    return t.cast("Place | None", cursor(float, str))


def rows_of(asked: Asked, *, oldest_first: bool) -> Iterator[list[object]]:
    """Yield a row for each event, page after page; those that no search of one page reached among them."""
    place = place_here()
    count = 0
    while count <= MOST_EXPORTED:
        with reading(log()) as connection:
            found = find(connection, asked, 500, place, oldest_first=oldest_first)
        for event in found.events:
            yield cells_of(event)
        count += max(len(found.events), SEARCHED // 10 if found.searched_until else 0)
        place = found.next
        if place is None:
            return


def cells_of(event: FiredEvent) -> list[object]:
    return [iso(event.fired_at) if field == "fired_at" else getattr(event, field) for field in FIELDS]
