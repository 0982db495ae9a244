"""Recovery: how soon all processes work again after a fault, and what was kept of all that was accepted."""

from __future__ import annotations

import http.client
import time
from pathlib import Path

from sqlalchemy import make_url

from tests.reliability.checker import Verdict
from tests.reliability.processes import Running
from tests.reliability.processes import wait_for
from tests.reliability.stand import Stand

PLACES = ("in the app's WAL file", "in the app's journaled file", "in its own file")
"""Where the event log is kept on SQLite; by default an app's file has a rollback journal."""


def place_log(stand: Stand, place: str) -> tuple[str, ...]:
    """Have the log kept in one of PLACES, its tables made; return what to post to."""
    if place == "in the app's journaled file":
        stand.tables.execute("PRAGMA journal_mode = DELETE")
    if place == "in its own file":
        stand.environment["SHOP_CONDOR_DATABASE_URL"] = stand.url
        stand.environment["SHOP_SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{file_of(stand).with_name('app.db')}"
    stand.fire("ok", "first")
    stand.close()
    return ("/events/ok/{id}",) if place == "in its own file" else ("/orders/tx/{id}", "/events/ok/{id}")


def file_of(stand: Stand) -> Path:
    """Return the SQLite file that holds the log."""
    return Path(str(make_url(stand.url).database))


def resumption(stand: Stand, port: int, web: Running, workers: Running) -> float:
    """Post until each process, two of either kind, has accepted events and run jobs; return how long that took."""
    began, answering = time.monotonic(), set[int]()

    def have_all_worked() -> bool:
        status, pid = post(stand, port)
        if status == 201:
            answering.add(pid)
        running = {note.pid for note in stand.witness.begun if note.time > began}
        return answering >= set(web.children()) and running >= set(workers.children())

    wait_for(lambda: len(web.children()) == 2 == len(workers.children()), "not all processes are there")
    wait_for(have_all_worked, "not every process accepts events, or runs jobs")
    return time.monotonic() - began


def post(stand: Stand, port: int) -> tuple[int, int]:
    """Post one event; return the status, and which process answered. No answer has the status 0."""
    id = f"posted-{time.time_ns()}"
    stand.attempted(id)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", f"/events/ok/{id}")
        response = connection.getresponse()
    except (OSError, http.client.HTTPException):
        return 0, 0
    finally:
        connection.close()
    if response.status == 201:
        stand.accepted(id)
    return response.status, int(response.headers["X-Process"])


def settle(stand: Stand, *running: Running) -> Verdict:
    """Kill what runs, let processes that start anew run what is left, with nothing that fails, and judge."""
    stand.crash(*running)
    with stand.web(), stand.workers():
        stand.drain()
    return stand.judge()


def refuse_false_answers(stand: Stand) -> None:
    """Fail when an event was accepted that is in no table, or one half of an order and its event was kept."""
    events, orders = stand.tables.events(), stand.tables.orders()
    faults = [f"{id}: accepted, and in no table" for id in stand.ledger.acked - events]
    faults += [f"{id}: an order without its event" for id in orders - events]
    faults += [f"{note.id}: an event without its order" for note in stand.witness.said("missing")]
    assert not faults, "\n".join(faults)
