"""The screen Runs: all runs of jobs, by their state and more, one of them with its attempts, and what is done to it."""

from __future__ import annotations

import typing as t

from flask import abort

from ...claims import ALONE
from ...forgetting import forget as forget_one
from ...history import reading
from ...history import value_of
from ...operations import cancel as cancel_all
from ...operations import retry as retry_all
from ...operations import run_now as run_all_now
from ...timeline import attempts_of
from ..export import MOST
from ..export import exported
from ..frame import back
from ..frame import shown
from ..here import actor
from ..here import log
from ..here import may
from ..here import now
from ..here import redaction
from ..links import changed
from ..links import link
from ..query import LARGEST
from ..query import choice
from ..query import cursor
from ..query import cursor_of
from ..query import number
from ..query import period
from ..query import text
from ..query import wants
from ..reading.runs import STATES
from ..reading.runs import Chosen
from ..reading.runs import Listed
from ..reading.runs import each_run
from ..reading.runs import run_of
from ..reading.runs import runs as find
from ..routes import Routes
from ..selecting import offered
from ..shapes import iso
from ..shapes import state_of
from ..strip import strip_of
from ..traces import parts_of
from ..traces import summary_of
from ..traces import told_of

if t.TYPE_CHECKING:
    from flask import Response
    from werkzeug.sansio.response import Response as AnyResponse

routes = Routes()
ROWS = 50
WORDS = ("now", "after_response", "after_commit", "queued")
LONGEST = 10**9
FIELDS = (
    *("delivery", "event_id", "event", "job", "run", "queue", "state", "attempt", "due_at", "started_at"),
    *("finished_at", "seconds", "worker", "error"),
)


@routes.page("/runs")
def runs() -> Response:
    """Show the runs that the query string asks for."""
    chosen, place = chosen_here(), cursor(int)
    with reading(log()) as connection:
        if wants("csv") or wants("json"):
            return exported(map(fields_of, each_run(connection, chosen, MOST + 1)), FIELDS, "runs")
        page = find(connection, chosen, ROWS, None if place is None else t.cast(int, place[0]))
    hide = redaction()
    return shown(
        "condor/runs.html",
        title="Runs",
        chosen=chosen,
        rows=[(row, state_of(row), summary_of(hide, row.error)) for row in page.rows],
        tabs=[(changed(state=state), label, chosen.state == state) for state, label in TABS],
        filters=filters_of(chosen),
        words=WORDS,
        selectable=offered("retry", "cancel", "purge"),
        retry_all_url=retry_all_url(chosen),
        was_cut=page.was_cut,
        next_url=None if page.place is None else changed(cursor=cursor_of((page.place,))),
    )


TABS = ((None, "All"), *((state, state.capitalize()) for state in STATES))


def chosen_here() -> Chosen:
    """Return what the query string asks for; its period goes for dead runs only when it is a custom one."""
    time = period()
    attempt, failure = number("attempt", 1, LONGEST), number("failure", 1, LARGEST)
    seconds = number("duration", 0, LONGEST)
    return Chosen(
        now=now(),
        job=text("job"),
        name=text("event", most=255),
        state=choice("state", STATES),
        run=choice("run", WORDS),
        attempt=attempt,
        seconds=None if seconds is None else float(seconds),
        worker=text("worker"),
        failure=failure,
        since=time.since,
        until=time.until,
        is_time_of_dead=time.key == "custom",
    )


def filters_of(chosen: Chosen) -> list[tuple[str, str, object]]:
    """Return those that can be taken out."""
    return [
        ("job", "Job", chosen.job),
        ("event", "Event", chosen.name),
        ("run", "Run word", chosen.run),
        ("attempt", "Attempts at least", chosen.attempt),
        ("duration", "Longer than (s)", None if chosen.seconds is None else int(chosen.seconds)),
        ("worker", "Worker", chosen.worker),
        ("failure", "Failure", chosen.failure),
    ]


def retry_all_url(chosen: Chosen) -> str | None:
    """Return where all that are dead and meet the filter are retried; None where an operation has no such filter."""
    others = (chosen.run, chosen.attempt, chosen.seconds, chosen.worker)
    if chosen.state != "dead" or chosen.is_time_of_dead or others != (None,) * 4 or not may("retry"):
        return None
    given = {"event": chosen.name, "job": chosen.job, "failure": chosen.failure}
    return link("/operations/new", kind="retry", count=1, **given)


def fields_of(row: Listed) -> list[object]:
    times = [iso(at) or None for at in (row.due_at, row.started_at, row.finished_at)]
    error = summary_of(redaction(), row.error) or None
    named = [row.id, row.event_id, row.name, row.job, row.run, row.queue, state_of(row), row.attempt]
    return [*named, *times, row.seconds, row.worker, error]


@routes.page("/runs/<int:id>")
def run(id: int) -> Response:
    """Show one run, with all its attempts."""
    with reading(log()) as connection:
        row = run_of(connection, id)
        if row is None:
            abort(404, f"Run {id} is not in the event log: it was never stored, or was pruned after it ended.")
        steps = attempts_of(connection, [id])[id]
    hide, at = redaction(), now()
    is_done = row.state == "done" and row.result is not None
    return shown(
        "condor/run.html",
        title=f"Run {id}",
        run=row,
        state=state_of(row),
        worker=(row.worker or "").removesuffix(ALONE) or None,
        steps=told_of(hide, steps),
        bars=strip_of(steps, at),
        error=summary_of(hide, row.error),
        trace=parts_of(hide, row.error),
        result=hide.of(value_of(row.result)) if is_done else None,
        has_result=is_done,
    )


@routes.action("/runs/<int:id>/retry", needs="retry")
def retry(id: int) -> AnyResponse:
    """Make it pending again, with all its attempts."""
    with log().change("nothing was retried") as connection:
        moved = retry_all(connection, [id], actor())
    return back(message=f"Run {id} is retried." if moved else f"Run {id} is not retried: it is not dead.")


@routes.action("/runs/<int:id>/cancel", needs="cancel")
def cancel(id: int) -> AnyResponse:
    """Cancel it, when it is pending."""
    with log().change("nothing was cancelled") as connection:
        moved = cancel_all(connection, id, actor())
    return back(message=f"Run {id} is cancelled." if moved else f"Run {id} is not cancelled: it is not pending.")


@routes.action("/runs/<int:id>/run-now", needs="retry")
def run_now(id: int) -> AnyResponse:
    """Make it due now."""
    with log().change("nothing was made due") as connection:
        moved = run_all_now(connection, id, actor())
    return back(message=f"Run {id} is due now." if moved else f"Run {id} does not wait for its time.")


@routes.action("/runs/<int:id>/forget", needs="purge")
def forget(id: int) -> AnyResponse:
    """Delete it, when it has ended."""
    with log().change("nothing was forgotten") as connection:
        forget_one(connection, id, actor())
    return back(message=f"Run {id} is forgotten.", to=link("/runs"))
