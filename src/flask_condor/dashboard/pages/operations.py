"""The screen Operations: what is done to many, begun here step by step, and how far each operation has come."""

from __future__ import annotations

import json
import typing as t

import msgspec
from flask import request
from werkzeug.exceptions import NotFound

from ...bulk_operations import BulkOperation
from ...bulk_operations import Chosen
from ...bulk_operations import ChosenDead
from ...bulk_operations import ChosenEnded
from ...bulk_operations import ChosenFired
from ...bulk_operations import Filter
from ...bulk_operations import abort
from ...bulk_operations import begin
from ...bulk_operations import count
from ...bulk_operations import operation_of
from ...bulk_operations import operations_of
from ...bulk_operations import title_of
from ...errors import CondorError
from ...errors import OperationRefused
from ...history import reading
from ...prune import DAY
from ...purge import FINISHED
from ...selected import ToCancel
from ...selected import ToForget
from ...selected import ToReplay
from ...selected import ToRetry
from ..export import MOST
from ..export import exported
from ..frame import back
from ..frame import shown
from ..here import actor
from ..here import log
from ..here import manager
from ..here import may
from ..here import now
from ..links import changed
from ..links import link
from ..query import LARGEST
from ..query import choice
from ..query import cursor
from ..query import cursor_of
from ..query import moment
from ..query import number
from ..query import text
from ..query import wants
from ..replaying import fresh_id
from ..replaying import id_for
from ..routes import Routes
from ..selecting import selection_here
from ..selecting import told
from ..shapes import iso
from ..shapes import utc

if t.TYPE_CHECKING:
    from flask import Response
    from werkzeug.sansio.response import Response as AnyResponse

    from ...purge import Finished

    Kind = t.Literal["retry", "replay", "purge"]

routes = Routes()
PAGE = 50
KINDS: tuple[Kind, ...] = ("retry", "replay", "purge")
FIELDS = (
    *("operation", "title", "kind", "by", "chosen", "state", "total", "done", "left_out", "error"),
    *("begun_at", "started_at", "finished_at", "worker"),
)


@routes.page("/operations")
def operations() -> Response:
    """Show them, the newest first."""
    place = t.cast("tuple[int] | None", cursor(int))
    is_export = wants("csv") or wants("json")
    with reading(log()) as connection:
        found = operations_of(connection, MOST + 1 if is_export else PAGE + 1, place[0] if place else None)
    if is_export:
        return exported(map(cells, found), FIELDS, "operations")
    rows, has_more = found[:PAGE], len(found) > PAGE
    return shown(
        "condor/operations.html",
        title="Operations",
        rows=rows,
        filters={one.id: filter_of(one) for one in rows},
        next_url=changed(cursor=cursor_of((rows[-1].id,))) if has_more else None,
        may_begin=any(may(kind) for kind in KINDS),
    )


@routes.page("/operations/new")
def new() -> Response:
    """Show the form that begins one and, once it is filled in, how many it is about."""
    kinds = [kind for kind in KINDS if may(kind)]
    kind = t.cast("Kind", choice("kind", KINDS) or next(iter(kinds), "retry"))
    preview = previewed(chosen_here(kind)) if "count" in request.args else NO_PREVIEW
    return shown(
        "condor/operation_new.html",
        title="New operation",
        kind=kind,
        kinds=kinds,
        given={key: request.args.get(key, "") for key in ("event", "job", "failure", "from", "to", "before", "state")},
        names=sorted(manager().registry.jobs),
        states=FINISHED,
        week_ago=iso(now() - 7 * DAY)[:16],
        once=fresh_id(),
        **preview,
    )


@routes.action("/operations/selected", needs="view")
def new_of_selected() -> Response:
    """Show to how many rows it will be done, of those that were ticked in a list; nothing is changed by it."""
    chosen = selection_here()
    preview = previewed(chosen)
    kind = json.loads(preview["chosen"])["kind"].partition("-")[0]
    title = "With the selected"
    return shown("condor/operation_selected.html", title=title, kind=kind, once=fresh_id(), **preview)


NO_PREVIEW: dict[str, t.Any] = dict.fromkeys(("chosen", "sentence", "counted", "wrong", "usual_title"))


def previewed(chosen: Chosen) -> dict[str, t.Any]:
    """Return what is shown of a filter before it is used."""
    fixed = encoded(chosen)
    told = {"chosen": fixed, "sentence": in_words(json.loads(fixed)), "usual_title": title_of(chosen)}
    with reading(log()) as connection:
        try:
            return NO_PREVIEW | told | {"counted": count(connection, manager().registry, chosen)}
        except OperationRefused as error:
            return NO_PREVIEW | told | {"wrong": str(error)}


@routes.page("/operations/<int:id>")
def one(id: int) -> Response:
    """Show one operation, and how far it is."""
    with reading(log()) as connection:
        found = operation_of(connection, id)
    if found is None:
        raise NotFound(f"There is no operation {id}.")
    share = 1.0 if found.state == "done" else min(1.0, found.done / found.total) if found.total else 0.0
    return shown(
        "condor/operation.html",
        title=f"Operation {id}",
        one=found,
        sentence=filter_of(found),
        chosen=json.loads(found.chosen),
        share=share,
        total=max(found.total, found.done),
    )


@routes.action("/operations/retry", needs="retry")
def begin_retry() -> AnyResponse:
    """Begin to retry."""
    return begin_one(ChosenDead | ToRetry)


@routes.action("/operations/replay", needs="replay")
def begin_replay() -> AnyResponse:
    """Begin to replay."""
    return begin_one(ChosenFired | ToReplay)


@routes.action("/operations/purge", needs="purge")
def begin_purge() -> AnyResponse:
    """Begin to delete."""
    return begin_one(ChosenEnded | ToForget)


@routes.action("/operations/cancel", needs="cancel")
def begin_cancel() -> AnyResponse:
    """Begin to cancel."""
    return begin_one(ToCancel)


@routes.action("/operations/<int:id>/abort", needs="cancel")
def abort_one(id: int) -> AnyResponse:
    """End one between two batches."""
    with log().change("nothing was aborted") as connection:
        was_open = abort(connection, id, actor())
    told = f"Aborted operation {id}; what is done stays done." if was_open else f"Operation {id} has ended already."
    return back(message=told)


def begin_one(kind: t.Any) -> AnyResponse:
    """Begin what the form has fixed, once however often it is sent."""
    chosen, title = chosen_from(request.form.get("chosen", ""), kind), request.form.get("title", "")
    form = id_for(request.form.get("once", ""))
    with log().change("no operation was begun") as connection:
        id = begin(connection, manager().registry, chosen, title=title, actor=actor(), form=form)
    return back(message=f"Began operation {id}: a worker carries it out.", to=link("/operations", id))


def chosen_here(kind: Kind) -> Filter:
    """Return the filter that the query string names."""
    event, job = text("event", most=255), text("job", most=500)
    if kind == "retry":
        return ChosenDead(event=event, job=job, failure=number("failure", 1, LARGEST))
    if kind == "replay":
        if event is None:
            raise OperationRefused("Choose the event that is to be replayed.")
        since, until = moment("from", 0.0), moment("to", now())
        if since >= until:
            raise OperationRefused("From is not before to: no event was fired in that time.")
        return ChosenFired(event=event, since=since, until=until, jobs=[job] if job else None)
    before = min(moment("before", now()), now())
    state = t.cast("Finished | None", choice("state", FINISHED))
    return ChosenEnded(before=before, event=event, job=job, states=(state,) if state else FINISHED)


def chosen_from(given: str, kind: t.Any) -> t.Any:
    """Return the filter that a form carries; :param kind: the class of it, or several.

    :raises OperationRefused: for what is none.
    """
    try:
        if "\\u0000" in given:
            raise OperationRefused("a filter holds text.")
        return msgspec.json.decode(given, type=kind)
    except (ValueError, RecursionError, CondorError) as error:
        raise OperationRefused("The form was changed on its way: fill it in again.") from error


def encoded(chosen: Chosen) -> str:
    return msgspec.json.encode(chosen, enc_hook=str.__str__).decode()


def filter_of(operation: BulkOperation) -> str:
    """Return the filter of an operation in words."""
    return in_words(json.loads(operation.chosen))


def in_words(chosen: dict[str, t.Any]) -> str:
    return told(chosen) if "ids" in chosen else sentence_of(chosen)


def sentence_of(chosen: dict[str, t.Any]) -> str:
    what = {"retry": "dead deliveries", "replay": "events", "purge": "deliveries that ended"}[chosen["kind"]]
    if "states" in chosen and len(chosen["states"]) < len(FINISHED):
        what = f"{' and '.join(chosen['states'])} deliveries"
    parts = [what]
    parts += [f"of event {chosen['event']}"] if chosen.get("event") else []
    parts += [f"of job {chosen['job']}"] if chosen.get("job") else []
    parts += [f"of failure {chosen['failure']}"] if chosen.get("failure") else []
    parts += [f"fired since {utc(chosen['since'])} UTC"] if chosen.get("since") else []
    parts += [f"fired before {utc(chosen['until'])} UTC"] if chosen.get("until") else []
    parts += [f"for jobs {', '.join(chosen['jobs'])}"] if chosen.get("jobs") else []
    parts += [f"before {utc(chosen['before'])} UTC"] if chosen.get("before") else []
    return " ".join(parts)


def cells(one: BulkOperation) -> list[object]:
    return [
        *(one.id, one.title, one.kind, one.actor, json.loads(one.chosen), one.state, one.total, one.done),
        *(one.left_out, one.error, iso(one.created_at), iso(one.started_at), iso(one.finished_at), one.worker),
    ]
