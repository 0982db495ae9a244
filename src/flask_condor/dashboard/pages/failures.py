"""The screen Failures: what went wrong, by what is alike; one of them with a trace, its runs and what to do."""

from __future__ import annotations

import math
import typing as t

from flask import abort
from flask import request

from ...bulk import RetryDead
from ...failure_groups import Group
from ...failure_groups import Order
from ...failure_groups import Wanted
from ...failure_groups import attempts_in
from ...failure_groups import became_of
from ...failure_groups import events_of
from ...failure_groups import group_of
from ...failure_groups import groups
from ...failure_groups import runs_over_time
from ...history import reading
from ...muting import mute as mute_one
from ...muting import unmute as unmute_one
from ...rates import HOUR
from ..export import MOST
from ..export import exported
from ..frame import back
from ..frame import shown
from ..here import actor
from ..here import log
from ..here import redaction
from ..links import changed
from ..query import Period
from ..query import choice
from ..query import cursor
from ..query import cursor_of
from ..query import period
from ..query import text
from ..query import wants
from ..reading.differences import compare
from ..routes import Routes
from ..shapes import counted
from ..shapes import iso
from ..shapes import short_job
from ..traces import parts_of
from ..traces import summary_of

if t.TYPE_CHECKING:
    from flask import Response
    from sqlalchemy.engine import Connection
    from werkzeug.sansio.response import Response as AnyResponse

routes = Routes()
ROWS = 50
ATTEMPTS = 25
RECENT = 20
"""How many of the latest attempts of each failure in the list are looked at."""
POINTS = 48
"""Of a sparkline, at most."""
RETRIED = 10
"""How many batches one request retries."""
ORDERS = {"last": "seen last", "first": "seen first", "runs": "most runs"}
FIELDS = (
    *("failure", "job", "error", "frame", "runs", "first_seen", "last_seen", "dead", "looked_at", "recovered"),
    *("muted", "note"),
)


@routes.page("/failures")
def failures() -> Response:
    """Show the failures that the query string asks for."""
    time, order = period(), t.cast(Order, choice("order", tuple(ORDERS)) or "last")
    wanted, place = wanted_here(time), t.cast("tuple[float, int] | None", cursor(float, int))
    with reading(log()) as connection:
        if wants("csv") or wants("json"):
            found = groups(connection, wanted, MOST + 1, order=order)
            return exported(map(fields_of, found), FIELDS[:7] + FIELDS[10:], "failures")
        found = groups(connection, wanted, ROWS + 1, order=order, before=place)
        page = found[:ROWS]
        rows = with_more(connection, page, time)
    is_last = len(found) <= ROWS
    return shown(
        "condor/failures.html",
        title="Failures",
        wanted=wanted,
        rows=rows,
        recent=RECENT,
        tabs=[(changed(muted=word), label, (word == "yes") == wanted.is_muted) for word, label in TABS],
        orders=[(changed(order=key), label, key == order) for key, label in ORDERS.items()],
        filters=[("job", "Job", wanted.job), ("event", "Event", wanted.name), ("error", "Error", wanted.error_type)],
        next_url=None if is_last else changed(cursor=cursor_of(place_of(page[-1], order))),
    )


TABS = ((None, "Open"), ("yes", "Muted"))


def wanted_here(time: Period) -> Wanted:
    """Return what the query string asks for."""
    return Wanted(
        since=time.since,
        until=time.until,
        job=text("job"),
        name=text("event", most=255),
        error_type=text("error"),
        is_muted=choice("muted", ("yes", "no")) == "yes",
    )


def place_of(group: Group, order: Order) -> tuple[float, int]:
    return {"last": group.last_seen, "first": group.first_seen, "runs": float(group.runs)}[order], group.id


def fields_of(group: Group) -> list[object]:
    seen = [iso(group.first_seen), iso(group.last_seen)]
    return [group.id, group.job, group.error_type, group.frame, group.runs, *seen, group.is_muted, group.note]


def with_more(connection: Connection, page: list[Group], time: Period) -> list[dict[str, t.Any]]:
    """Return what the list shows of each failure."""
    ids = [group.id for group in page]
    became = became_of(connection, ids, latest=RECENT, many=RECENT)
    names = events_of(connection, ids, time.since, time.until)
    points = lines_of(connection, ids, time)
    return [
        {"group": group, "became": became[group.id], "events": names.get(group.id, {}), "line": points[group.id]}
        for group in page
        if group.id in became
    ]


def lines_of(connection: Connection, ids: list[int], time: Period) -> dict[int, list[int]]:
    """Return the runs of each failure over the period, of 24 hours at least, for a sparkline."""
    since = min(time.since, time.until - 24 * HOUR)
    width = math.ceil((time.until - since) / POINTS / HOUR) * HOUR
    found = runs_over_time(connection, ids, since, time.until, width=width)
    starts = range(int(since // width) * width, math.ceil(time.until), width)
    return {id: [found.get(id, {}).get(start, 0) for start in starts] for id in ids}


@routes.page("/failures/<int:id>")
def failure(id: int) -> Response:
    """Show one failure."""
    time, place, hide = period(), t.cast("tuple[float, int] | None", cursor(float, int)), redaction()
    with reading(log()) as connection:
        group = group_of(connection, id)
        if group is None:
            abort(404, f"Failure {id} is not in the event log: it never happened, or was forgotten since.")
        became = became_of(connection, [id])[id]
        found = attempts_in(connection, id, ATTEMPTS + 1, place)
        names = events_of(connection, [id], 0.0).get(id, {})
        line = lines_of(connection, [id], time)[id]
        differences = compare(connection, id, group.job, hide)
    page, sample = found[:ATTEMPTS], found[0].error if found else None
    return shown(
        "condor/failure.html",
        title=f"{group.error_type.rpartition('.')[2]} in {short_job(group.job)}",
        group=group,
        became=became,
        events=names,
        line=line,
        width_told="the period" if time.until - time.since >= 24 * HOUR else "24 hours",
        rows=[(one, summary_of(hide, one.error)) for one in page],
        error=summary_of(hide, sample),
        trace=parts_of(hide, sample),
        compared=differences,
        next_url=changed(cursor=cursor_of((page[-1].ended_at, page[-1].id))) if len(found) > ATTEMPTS else None,
    )


@routes.action("/failures/<int:id>/retry", needs="retry")
def retry(id: int) -> AnyResponse:
    """Retry what is dead by it: all, or as much as one request may take."""
    work = RetryDead(None, None, actor(), failure=id)
    with log().read() as connection:
        count = work.count(connection)
    done = 0
    for _ in range(RETRIED):
        with log().change("the rest was not retried") as connection:
            done += work.batch(connection)
        if work.is_over:
            break
    left = f" {counted(count - done)} are left: retry them likewise." if count > done and not work.is_over else ""
    told = f"{counted(done)} {'run is' if done == 1 else 'runs are'} retried." if done else "Nothing is dead by it."
    return back(message=told + left)


@routes.action("/failures/<int:id>/mute", needs="cancel")
def mute(id: int) -> AnyResponse:
    """Set it aside."""
    with log().change("nothing was muted") as connection:
        mute_one(connection, id, request.form.get("note", "").strip(), actor())
    return back(message=f"Failure {id} is muted.")


@routes.action("/failures/<int:id>/unmute", needs="cancel")
def unmute(id: int) -> AnyResponse:
    """Take it up again."""
    with log().change("nothing was unmuted") as connection:
        unmute_one(connection, id, actor())
    return back(message=f"Failure {id} is not muted any more.")
