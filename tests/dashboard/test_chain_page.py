"""The page of a chain: as a tree, a timeline, a table and JSON, and bounded however much followed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_condor import Condor
from flask_condor import EventsManager
from flask_condor.dashboard.reading.chain import DEEPEST
from flask_condor.dashboard.reading.chain import ChainTree
from flask_condor.dashboard.reading.chain import chain_of
from flask_condor.history import event_of
from flask_condor.models import deliveries
from sqlalchemy import update

from tests.dashboard.browsing import Person
from tests.dashboard.test_events import store


@pytest.fixture
def manager(tmp_path: Path) -> EventsManager:
    app = Flask("chains")
    app.debug = app.testing = True
    app.config["CONDOR_DATABASE_URL"] = f"sqlite:///{tmp_path / 'condor.db'}"
    Condor(app)
    manager: EventsManager = app.extensions["condor"]
    return manager


def child(id: str, cause: str, at: float, **values: Any) -> dict[str, Any]:
    row = {"id": id, "root_id": "root", "cause_id": cause, "cause_name": "a", "cause_job": "send"}
    return row | {"fired_at": at, "is_orphan": False} | values


def tree_of(manager: EventsManager, id: str) -> ChainTree:
    with manager.log.read() as connection:
        event = event_of(connection, id)
        assert event is not None
        return chain_of(connection, event, 200.0)


def test_a_chain_stands_below_its_root_in_order_with_its_runs(durable_manager: EventsManager) -> None:
    rows = [child("left", "root", 91.0, runs=("done",)), child("right", "root", 92.0, runs=("dead",))]
    store(durable_manager, {"id": "root", "fired_at": 90.0, "runs": ("done",)}, *rows, child("leaf", "right", 93.0))

    found = tree_of(durable_manager, "leaf")

    assert [(node.event.id, node.depth, node.below) for node in found.nodes] == [
        ("root", 0, 3),
        ("left", 1, 0),
        ("right", 1, 1),
        ("leaf", 2, 0),
    ]
    assert [node.status for node in found.nodes] == ["ok", "ok", "failed", "orphan"]
    assert [node.has_failed for node in found.nodes] == [True, False, True, False]
    assert (found.since, found.until, found.share(90.0), found.share(95.25)) == (90.0, 100.5, 0.0, 500.0)


def test_every_view_shows_all_of_it(manager: EventsManager) -> None:
    store(manager, {"id": "root", "name": "<b>", "runs": ("done", "pending")}, child("leaf", "root", 2.0))
    person = Person(manager)

    pages = [person.open(f"/chains/leaf?view={view}") for view in ("tree", "timeline", "table")]
    told = json.loads(person.open("/chains/root?view=json"))

    for page in pages:
        assert "/condor/events/root" in page and "/condor/events/leaf" in page and "<b>" not in page
        assert "2 events" in page or "Events of the chain" in page
    assert "<svg" in pages[0] and "<svg" in pages[1] and "<table" in pages[2]
    assert [(one["id"], one["depth"], len(one["runs"])) for one in told["events"]] == [("root", 0, 2), ("leaf", 1, 0)]


def test_the_bars_have_a_scale_and_each_run_says_how_long_it_took(manager: EventsManager) -> None:
    store(manager, {"id": "root", "fired_at": 90.0, "runs": ("done",)}, child("leaf", "root", 92.0, runs=("done",)))
    with manager.log.begin() as connection:
        connection.execute(update(deliveries).values(started_at=100.0))
    person = Person(manager)

    pages = [person.open(f"/chains/root?view={view}") for view in ("tree", "timeline")]

    for page in pages:
        scale = page.partition('class="node scale')[2].partition("</div>")[0]
        assert all(f"<span>{told}</span>" in scale for told in ("0 s", "5.25 s", "10.5 s"))
        assert page.count('<span class="soft number">500 ms</span>') == 2 and 'class="run-wait"' in page


def test_failed_branches_are_open_and_long_ones_folded(manager: EventsManager) -> None:
    quiet = [child(f"q{n}", "calm", 5.0 + n) for n in range(20)]
    bad = [child(f"b{n}", "bad", 5.0 + n, runs=("dead",) if n == 9 else ()) for n in range(20)]
    store(manager, {"id": "root"}, child("calm", "root", 3.0), child("bad", "root", 4.0), *quiet, *bad)

    found = {node.event.id: node.is_open for node in tree_of(manager, "root").nodes}

    assert (found["root"], found["bad"], found["calm"]) == (True, True, False)
    assert Person(manager).open("/chains/root").count("<details open>") == 2


def test_a_chain_is_bounded_and_says_so(manager: EventsManager) -> None:
    store(manager, {"id": "root"}, *(child(f"c{n}", "root", 2.0 + n) for n in range(700)))

    page = Person(manager).open("/chains/c699")

    assert "more events followed, which are not shown" in page and "/condor/events/c699" in page
    assert len(tree_of(manager, "root").nodes) == 501 and "701 events" in page


def test_what_is_very_deep_stands_side_by_side(manager: EventsManager) -> None:
    links = [child(f"c{n}", f"c{n - 1}" if n else "root", 2.0 + n) for n in range(450)]
    store(manager, {"id": "root"}, *links)

    page = Person(manager).open("/chains/root")

    assert "c449" in page and max(node.depth for node in tree_of(manager, "root").nodes) > DEEPEST
    assert page.count("<details") == DEEPEST + 1 + page.count('<details class="menu"')


def test_a_root_that_was_pruned_and_causes_in_a_circle_are_shown(manager: EventsManager) -> None:
    store(manager, child("one", "two", 1.0), child("two", "one", 2.0), child("own", "own", 3.0))

    page = Person(manager).open("/chains/one")

    assert "is not in the log any more" in page
    assert all(f"/condor/events/{id}" in page for id in ("one", "two", "own"))


def test_a_chain_of_nothing_and_a_view_that_is_none_are_told(manager: EventsManager) -> None:
    store(manager, {"id": "root"})
    person = Person(manager)

    assert "There is no such event" in person.open("/chains/none", 404)
    assert "none of: tree" in person.open("/chains/root?view=x", 400)
