"""The chain: an event, what led to it and what followed from it, each with its runs, as a tree that is bounded."""

from __future__ import annotations

import typing as t

import msgspec
from sqlalchemy import func
from sqlalchemy import select
from sqlalchemy.engine import Connection

from ...history import Family
from ...history import Relative
from ...history import Stored
from ...history import family_of
from ...models import deliveries
from .fired import status_of

MOST = 500
"""How many events of a chain are shown: the oldest, and what led to the one that was asked for."""
MOST_RUNS = 2_000
DEEPEST = 30
"""The level down to which events stand below the one that caused them; those further down stand side by side."""
FOLDED = 12
"""Up to how many events may follow from one that it is shown open though nothing of them failed."""
SHOWN = 300
"""Characters of an error."""


class ChainRun(msgspec.Struct, frozen=True):
    """A run of a job in a chain."""

    id: int
    event_id: str
    job: str
    run: str
    state: str
    attempt: int
    due_at: float
    started_at: float | None
    finished_at: float | None
    error: str | None
    """Its beginning, in which it is named."""


class Node(msgspec.Struct):
    """An event in a chain."""

    event: Relative
    runs: list[ChainRun]
    status: str
    children: list[Node] = []
    depth: int = 0
    below: int = 0
    """How many events follow from it."""
    has_failed: bool = False
    """Whether a job of it, or of what follows from it, is dead."""

    @property
    def is_open(self) -> bool:
        """Whether what follows from it is shown at once."""
        return self.has_failed or self.below <= FOLDED

    @property
    def ends(self) -> float:
        """When the last of its runs ended, as far as is known; else when it was fired."""
        return max([self.event.fired_at, *(run.finished_at or 0.0 for run in self.runs)])


class ChainTree(msgspec.Struct):
    """A chain, or as much of it as is shown."""

    root_id: str
    tops: list[Node]
    """The root; where it was pruned, what followed from it directly."""
    count: int
    """Of the events in the whole of it."""
    since: float
    until: float
    """When its first event was fired, and when the last of its runs ended."""
    has_root: bool

    @property
    def nodes(self) -> list[Node]:
        """All that are shown, each before what follows from it."""
        found, waiting = [], list(reversed(self.tops))
        while waiting:
            node = waiting.pop()
            found.append(node)
            waiting += reversed(node.children)
        return found

    def share(self, at: float | None) -> float:
        """Return where a moment lies between the first and the last, from 0 to 1000."""
        length = self.until - self.since
        passed = (self.until if at is None else at) - self.since
        return round(min(1.0, max(0.0, passed / length)) * 1000, 1) if length > 0 else 0.0


def chain_of(connection: Connection, event: Stored, now: float) -> ChainTree:
    """Return the chain that *event* stands in.

    :param now: when what has not ended yet is taken to end.
    """
    family = family_of(connection, event, MOST)
    runs = runs_in(connection, [member.id for member in family.members])
    nodes = {one.id: Node(one, runs.get(one.id, []), word_for(one)) for one in family.members}
    tops = placed(family, nodes)
    for top in tops:
        measure(top)
    all_runs = [run for some in runs.values() for run in some]
    is_running = any(run.state == "running" for run in all_runs)
    ends: list[float] = [node.ends for node in nodes.values()]
    since: float = min((one.fired_at for one in family.members), default=0.0)
    until: float = max([since, *ends, *([now] if is_running else [])])
    return ChainTree(family.root_id, tops, family.count, since, until, family.root_id in nodes)


def word_for(member: Relative) -> str:
    return status_of(member.states, is_orphan=True)


def runs_in(connection: Connection, ids: t.Sequence[str]) -> dict[str, list[ChainRun]]:
    """Return the runs of those events, by the event's id, in the order they were written."""
    columns = [deliveries.c[field] for field in ChainRun.__struct_fields__[:-1]]
    error = func.substr(deliveries.c.error, 1, SHOWN).label("error")
    found = select(*columns, error).where(deliveries.c.event_id.in_(ids)).order_by(deliveries.c.id).limit(MOST_RUNS)
    runs: dict[str, list[ChainRun]] = {}
    for row in connection.execute(found):
        runs.setdefault(row.event_id, []).append(ChainRun(**row._mapping))
    return runs


def placed(family: Family, nodes: dict[str, Node]) -> list[Node]:
    """Put each event below the one that caused it, or below the root when that is not shown; return the topmost.

    What causes itself, by way of others, is shown at the top, once.
    """
    tops: list[Node] = []
    for id, node in nodes.items():
        parent = nodes.get(node.event.cause_id or "") or nodes.get(family.root_id)
        if id == family.root_id or parent is None or is_above(node, parent, nodes):
            tops.append(node)
        else:
            parent.children.append(node)
    return tops


def is_above(node: Node, other: Node, nodes: dict[str, Node]) -> bool:
    """Tell whether *node* is among the causes of *other*, or is it."""
    at: Node | None = other
    for _ in range(len(nodes)):
        if at is None or at is node:
            return at is node
        at = nodes.get(at.event.cause_id or "")
    return True


def measure(top: Node) -> None:
    """Tell of each event below *top* how deep it stands, how many follow from it, and whether any failed."""
    order, waiting = [], [top]
    while waiting:
        node = waiting.pop()
        order.append(node)
        for child in node.children:
            child.depth = node.depth + 1
        waiting += node.children
    for node in reversed(order):
        node.below = sum(child.below + 1 for child in node.children)
        node.has_failed = "dead" in node.event.states or any(child.has_failed for child in node.children)
    for node in order:
        if node.depth == DEEPEST:
            flatten(node)


def flatten(node: Node) -> None:
    """Put all that follows from *node* directly below it."""
    found, waiting = [], list(reversed(node.children))
    while waiting:
        child = waiting.pop()
        found.append(child)
        waiting += reversed(child.children)
        child.children = []
    node.children = found
