"""The screen Event: its payload, jobs and chain, how it came in, who did what to it, and what can be done."""

from __future__ import annotations

import typing as t
from collections import Counter

from flask import abort
from flask import request

from ...faults import PayloadInvalid
from ...history import Run
from ...history import Stored
from ...history import event_of
from ...history import reading
from ...history import runs_of
from ...history import value_of
from ...operations import note
from ...receipt import receipt_of
from ...timeline import attempts_of
from ..export import exported
from ..frame import back
from ..frame import shown
from ..here import actor
from ..here import log
from ..here import manager
from ..here import now
from ..here import redaction
from ..links import link
from ..query import choice
from ..query import wants
from ..reading.chain import chain_of
from ..reading.event import notes_of
from ..reading.event import trace_of
from ..reading.fired import status_of
from ..replaying import fresh_id
from ..replaying import id_for
from ..replaying import whole
from ..routes import Routes
from ..samples import LONGEST
from ..samples import as_curl
from ..samples import as_test
from ..shown_payload import ShownPayload
from ..shown_payload import diff_of
from ..shown_payload import schema_of
from ..side_panel import panel_here
from ..strip import strip_of
from ..traces import parts_of
from ..traces import summary_of
from ..traces import told_of

if t.TYPE_CHECKING:
    from flask import Response
    from sqlalchemy.engine import Connection
    from werkzeug.sansio.response import Response as AnyResponse

routes = Routes()
TABS = {"payload": "Payload", "jobs": "Jobs", "chain": "Chain", "http": "HTTP", "audit": "Audit"}
FIELDS = ("id", "name", "payload", "subject")
VIEWS = ("tree", "raw", "diff")
MOST_ERROR = 20_000
"""Characters of each attempt's error that are read."""


@routes.page("/events/<path:id>")
def event(id: str) -> Response:
    """Show one event, a part of it at a time."""
    tab = choice("tab", (*TABS, "replay")) or "payload"
    with reading(log()) as connection:
        stored = stored_or_404(connection, id)
        runs = runs_of(connection, id)
        context = head_of(connection, stored, runs) | MAKERS[tab](connection, stored, runs)
    if tab == "payload":
        return payload_page(stored, context)
    return shown(f"condor/event_{tab}.html", title=stored.name, tab=tab, **context)


def payload_page(stored: Stored, context: dict[str, t.Any]) -> Response:
    if wants("json"):
        return exported([[stored.id, stored.name, context["payload"].value, stored.subject]], FIELDS, "event")
    return shown("condor/event_payload.html", title=stored.name, tab="payload", **context)


def stored_or_404(connection: Connection, id: str) -> Stored:
    found = event_of(connection, id)
    if found is None:
        abort(404, "There is no such event: it was never stored, or was pruned long after it ended.")
    return found


def head_of(connection: Connection, stored: Stored, runs: list[Run]) -> dict[str, t.Any]:
    """Return what stands above every tab."""
    states = Counter[str](run.state for run in runs)
    trace, template = trace_of(connection, stored.id), manager().config.trace_url
    return {
        "event": stored,
        "word": status_of(states, is_orphan=stored.is_orphan),
        "runs": runs,
        "receipt": receipt_of(connection, stored.id),
        "trace": trace,
        "trace_url": template.replace("{trace_id}", trace) if template and trace else None,
        "once": fresh_id(),
        "has_dead": any(run.state == "dead" and run.run == "queued" for run in runs),
        "has_pending": "pending" in states,
        "tabs": [(link("/events", stored.id, tab=key), label, key) for key, label in TABS.items()],
    }


def payload_tab(connection: Connection, stored: Stored, runs: list[Run], *, revealed: bool = False) -> dict[str, t.Any]:
    payload = ShownPayload.of(stored, revealed=revealed)
    before = event_of(connection, stored.replay_of) if stored.replay_of else None
    view = choice("view", VIEWS) or "tree"
    redacted = ShownPayload.of(stored, revealed=False)
    is_sample = redacted.size <= LONGEST
    return {
        "payload": payload,
        "view": view,
        "revealed": revealed,
        "before": before,
        "diff": diff_of(before, stored) if before is not None and view == "diff" else None,
        "schema": schema_of(stored),
        "curl": as_curl(trigger(), stored.name, redacted.value) if is_sample else None,
        "test": as_test(stored.name, redacted.value) if is_sample else None,
    }


def trigger() -> str:
    return request.url_root.rstrip("/") + manager().config.trigger_url


def jobs_tab(connection: Connection, stored: Stored, runs: list[Run]) -> dict[str, t.Any]:
    hide, at = redaction(), now()
    steps = attempts_of(connection, [run.id for run in runs], shown=MOST_ERROR)
    return {
        "jobs": [
            {
                "run": run,
                "bars": strip_of(steps.get(run.id, []), at),
                "steps": told_of(hide, steps.get(run.id, [])),
                "error": summary_of(hide, run.error),
                "trace": parts_of(hide, run.error),
                "result": hide.of(value_of(run.result)),
            }
            for run in runs
        ]
    }


def chain_tab(connection: Connection, stored: Stored, runs: list[Run]) -> dict[str, t.Any]:
    return {"chain": chain_of(connection, stored, now()), "marked": stored.id, "panel": panel_here(connection)}


def http_tab(connection: Connection, stored: Stored, runs: list[Run]) -> dict[str, t.Any]:
    receipt = receipt_of(connection, stored.id)
    return {"headers": None if receipt is None else redaction().of(receipt.headers)}


def audit_tab(connection: Connection, stored: Stored, runs: list[Run]) -> dict[str, t.Any]:
    hide = redaction()
    return {"notes": [(note, hide.of(note.detail)) for note in notes_of(connection, stored.id)]}


def replay_tab(connection: Connection, stored: Stored, runs: list[Run]) -> dict[str, t.Any]:
    payload = ShownPayload.of(stored, revealed=False)
    return {"typed": payload.pretty, "faults": [], "schema": schema_of(stored)}


MAKERS = {
    "payload": payload_tab,
    "jobs": jobs_tab,
    "chain": chain_tab,
    "http": http_tab,
    "audit": audit_tab,
    "replay": replay_tab,
}


@routes.action("/events/<path:id>/reveal", needs="view_payload")
def reveal(id: str) -> AnyResponse:
    """Show the payload with what is hidden in it, this once, and write down that it was shown."""
    with reading(log()) as connection:
        stored = stored_or_404(connection, id)
        runs = runs_of(connection, id)
        context = head_of(connection, stored, runs) | payload_tab(connection, stored, runs, revealed=True)
    with log().change("nothing is revealed") as connection:
        note(connection, actor(), "reveal", event_id=id)
    return payload_page(stored, context)


@routes.action("/events/<path:id>/replay", needs="replay")
def replay(id: str) -> AnyResponse:
    """Fire it again, once however often the form is sent."""
    made = manager().replay(id, id=id_for(request.form.get("once", "")), actor=actor())
    return back(message=f"Replayed as event {made.id}.", to=link("/events", made.id))


@routes.action("/events/<path:id>/edit", needs="replay")
def edit(id: str) -> AnyResponse:
    """Fire it again with the payload that was typed; where that is wrong, show the form again with what is."""
    typed = request.form.get("payload", "")
    with reading(log()) as connection:
        stored = stored_or_404(connection, id)
        runs = runs_of(connection, id)
        context = head_of(connection, stored, runs)
    text, faults = whole(typed, stored)
    if text is not None:
        try:
            made = manager().replay(id, id=id_for(request.form.get("once", ""), text), payload=text, actor=actor())
        except PayloadInvalid as error:
            faults = [str(fault) for fault in error.faults]
        else:
            return back(message=f"Replayed with another payload, as event {made.id}.", to=link("/events", made.id))
    context |= {"typed": typed, "faults": faults, "schema": schema_of(stored)}
    return shown("condor/event_replay.html", title=stored.name, status=422, tab="replay", **context)


@routes.action("/events/<path:id>/retry", needs="retry")
def retry(id: str) -> AnyResponse:
    """Make its dead runs pending again."""
    count = manager().retry(id, actor=actor())
    return back(
        message=f"Retried {count} {'run' if count == 1 else 'runs'}." if count else "Nothing was dead any more."
    )


@routes.action("/events/<path:id>/cancel", needs="cancel")
def cancel(id: str) -> AnyResponse:
    """Cancel what is pending of it."""
    count = manager().cancel(id, actor=actor())
    told = f"Cancelled {count} {'run' if count == 1 else 'runs'}." if count else "Nothing was pending any more."
    return back(message=told)
