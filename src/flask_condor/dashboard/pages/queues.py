"""The screen Queue: what waits, is scheduled or runs, who works on it, and what is paused."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable
from collections.abc import Sequence

from flask import request

from ...errors import OperationRefused
from ...history import reading
from ...pauses import Kind
from ...pauses import Pause
from ...pauses import pause
from ...pauses import pauses_of
from ...pauses import queues_of as queue_names
from ...pauses import resume
from ...waits import waits_over_time
from ..export import exported
from ..figures import delay
from ..frame import back
from ..frame import shown
from ..here import actor
from ..here import log
from ..here import manager
from ..here import now
from ..links import changed
from ..query import choice
from ..query import cursor
from ..query import cursor_of
from ..query import period
from ..query import text
from ..query import wants
from ..reading.backlog import MOST
from ..reading.backlog import WAITS
from ..reading.backlog import Queue
from ..reading.backlog import lanes_of
from ..reading.backlog import pending_of
from ..reading.backlog import queues_of
from ..reading.backlog import running_of
from ..reading.backlog import waits_of
from ..reading.backlog import workers_of
from ..routes import Routes
from ..shapes import iso
from ..shapes import span

if t.TYPE_CHECKING:
    from flask import Response
    from sqlalchemy.engine import Connection
    from werkzeug.sansio.response import Response as AnyResponse

    from ...lanes import Lane

routes = Routes()
PAGE = 50
KINDS: tuple[Kind, ...] = ("queue", "event")
TABS = ("waiting", "scheduled", "running")
FIELDS = ("delivery", "event", "name", "job", "queue", "priority", "attempt", "due_at", "started_at", "worker")


@routes.page("/queue")
def queue() -> Response:
    """Show it."""
    tab, chosen, time = choice("tab", TABS) or "waiting", text("queue"), period()
    with reading(log()) as connection:
        lanes, running = list(lanes_of(connection)), running_of(connection)
        listed = [lane for lane in lanes if chosen in (None, lane[0])]
        if wants("csv") or wants("json"):
            return export(rows_of(connection, tab, listed, running, most=MOST + 1))
        rows = rows_of(connection, tab, listed, running, most=PAGE + 1)
        queues, paused = queues_of(connection, lanes, running), pauses_of(connection)
        waits, workers = waits_of(connection, listed), workers_of(connection, running)
        begun = waits_over_time(connection, time.starts, chosen)
    is_cut = tab != "running" and len(rows) > PAGE
    rows = rows[:PAGE] if is_cut else rows
    names = names_of(paused)
    return shown(
        "condor/queues.html",
        title="Queue",
        tab=tab,
        tabs=TABS,
        chosen=chosen,
        rows=rows,
        next_url=changed(cursor=cursor_of((rows[-1].due_at, rows[-1].id))) if is_cut else None,
        queues=with_idle(queues, [*queue_names(manager().registry), *names["queue"]]),
        paused=paused,
        paused_queues=names["queue"],
        paused_events=names["event"],
        names=sorted(manager().registry.jobs),
        waits=list(zip(labels(), waits, strict=True)),
        due=sum(waits),
        most=MOST,
        oldest=oldest_of(queues, chosen),
        delay=delay(begun),
        width=time.unit,
        workers=workers,
        alive=any(one.is_alive for one in workers),
    )


def rows_of(
    connection: Connection, tab: str, lanes: Sequence[Lane], running: Sequence[t.Any], *, most: int
) -> list[t.Any]:
    """Return the deliveries of a tab, in these lanes."""
    place = t.cast("tuple[float, int] | None", cursor(float, int))
    if tab == "running":
        chosen = text("queue")
        return [row for row in running if chosen in (None, row.queue)]
    return pending_of(connection, lanes, is_due=tab == "waiting", after=place, most=most)


def names_of(paused: Sequence[Pause]) -> dict[Kind, list[str]]:
    return {kind: [one.name for one in paused if one.kind == kind] for kind in KINDS}


def oldest_of(queues: Sequence[Queue], chosen: str | None) -> float | None:
    return min((one.oldest_due or now() for one in queues if chosen in (None, one.name)), default=None)


@routes.action("/queue/pause", needs="cancel")
def pause_one() -> AnyResponse:
    """Pause a queue or an event."""
    kind, name = kind_and_name()
    with log().begin("nothing was paused") as connection:
        is_new = pause(connection, manager().registry, kind, name, actor())
    told = f"Paused {kind} {name}. Workers heed it within a second." if is_new else f"The {kind} is paused already."
    return back(message=told)


@routes.action("/queue/resume", needs="cancel")
def resume_one() -> AnyResponse:
    """Resume one."""
    kind, name = kind_and_name()
    with log().change("nothing was resumed") as connection:
        was_paused = resume(connection, kind, name, actor())
    return back(message=f"Resumed {kind} {name}." if was_paused else f"The {kind} is not paused any more.")


def kind_and_name() -> tuple[Kind, str]:
    """Return what the form names."""
    kind, name = request.form.get("kind"), request.form.get("name", "")
    if kind not in ("queue", "event") or not name or not name.isprintable():
        raise OperationRefused("Choose a queue or an event.")
    return ("queue" if kind == "queue" else "event"), name


def with_idle(queues: list[Queue], names: Iterable[str]) -> list[Queue]:
    """Return *queues* with those of *names* that are empty: they can be paused, or are."""
    found = {name: Queue(name) for name in names} | {one.name: one for one in queues}
    return [found[name] for name in sorted(found)]


def labels() -> list[str]:
    """Return what each class of waits is called."""
    ends = [span(high) for high in WAITS[:-1]]
    return [f"up to {end}" for end in ends] + [f"longer than {ends[-1]}"]


def export(rows: Iterable[t.Any]) -> Response:
    def cells() -> Iterable[list[object]]:
        for row in rows:
            named = (row.id, row.event_id, row.name, row.job, row.queue, row.priority, row.attempt)
            yield [*named, iso(row.due_at), iso(row.started_at), row.worker]

    return exported(cells(), FIELDS, "queue")
