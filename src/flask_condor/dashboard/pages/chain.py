"""The screen Chain: all that followed from an event, from the root down, as a tree, a timeline, a table or JSON."""

from __future__ import annotations

import json
import typing as t

import msgspec
from flask import Response
from flask import abort

from ...history import event_of
from ...history import reading
from ..frame import shown
from ..here import log
from ..here import now
from ..links import changed
from ..query import choice
from ..reading.chain import MOST
from ..reading.chain import ChainTree
from ..reading.chain import Node
from ..reading.chain import chain_of
from ..routes import Routes
from ..side_panel import panel_here

routes = Routes()
OF_RUN = ("id", "job", "run", "state", "attempt", "started_at", "finished_at")
VIEWS = {"tree": "Tree", "timeline": "Timeline", "table": "Table", "json": "JSON"}


@routes.page("/chains/<path:id>")
def chain(id: str) -> Response:
    """Show the chain that an event stands in."""
    view = choice("view", tuple(VIEWS)) or "tree"
    with reading(log()) as connection:
        event = event_of(connection, id)
        if event is None:
            abort(404, "There is no such event: it was never stored, or was pruned long after it ended.")
        found, panel = chain_of(connection, event, now()), panel_here(connection)
    if view == "json":
        return Response(json.dumps(fields_of(found)), content_type="application/json")
    return shown(
        "condor/chain.html",
        title=f"Chain of {found.tops[0].event.name}" if found.tops else "Chain",
        chain=found,
        panel=panel,
        view=view,
        most=MOST,
        marked=None if event.id == found.root_id else event.id,
        views=[(changed(view=key), label, key == view) for key, label in VIEWS.items()],
    )


def fields_of(found: ChainTree) -> dict[str, t.Any]:
    """Return all that is shown of a chain, for JSON; the events in the order of the tree."""
    return {
        "root_id": found.root_id,
        "count": found.count,
        "shown": len(found.nodes),
        "events": [fields_of_node(node) for node in found.nodes],
    }


def fields_of_node(node: Node) -> dict[str, t.Any]:
    runs = [{field: getattr(run, field) for field in OF_RUN} for run in node.runs]
    return {**msgspec.structs.asdict(node.event), "depth": node.depth, "status": node.status, "runs": runs}
