"""The list of events: which are found by which filter, and what is told of each."""

from __future__ import annotations

import json
import re
import time
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_condor import Condor
from flask_condor import EventsManager
from flask_condor.dashboard.reading import fired
from flask_condor.dashboard.reading.fired import Asked
from flask_condor.dashboard.reading.fired import Found
from flask_condor.dashboard.reading.fired import Place
from flask_condor.dashboard.reading.fired import chains_of
from flask_condor.dashboard.reading.fired import find
from flask_condor.models import deliveries
from flask_condor.models import events
from flask_condor.models import failures
from sqlalchemy import insert

from tests.dashboard.browsing import Person


def store(manager: EventsManager, *rows: dict[str, Any]) -> None:
    """Write events, each with deliveries in the states given as ``runs``."""
    with manager.log.begin() as connection:
        for number, row in enumerate(rows):
            states = row.pop("runs", ())
            values: dict[str, Any] = {
                "id": f"e{number}",
                "name": "a",
                "payload": "null",
                "is_replayable": True,
                "source": "app",
            }
            values |= {"is_orphan": not states, "fired_at": float(number), "path": "[]", "bus": "default"} | row
            connection.execute(insert(events), values | {"root_id": row.get("root_id", values["id"])})
            for state in states:
                connection.execute(insert(deliveries), run_of(values["id"], state))


def run_of(event_id: str, state: str, **values: Any) -> dict[str, Any]:
    row = {"event_id": event_id, "job": "jobs.mail:send", "run": "queued", "queue": "default", "priority": 0}
    ended = {"finished_at": 100.5} if state in ("done", "dead", "cancelled") else {}
    row |= {"state": state, "due_at": 1.0, "attempt": 0, "losses": 0, "bus": "default", **ended}
    return row | values


def look(manager: EventsManager, most: int = 50, after: Place | None = None, **asked: Any) -> Found:
    with manager.log.read() as connection:
        return find(connection, Asked(**asked), most, after)


def ids(manager: EventsManager, **asked: Any) -> list[str]:
    return [event.id for event in look(manager, **asked).events]


STATES: dict[str, tuple[str, ...]] = {
    "ok": ("done", "done"),
    "partial": ("dead", "done"),
    "failed": ("dead", "cancelled"),
    "running": ("running", "pending"),
    "waiting": ("pending", "done"),
    "cancelled": ("cancelled",),
    "orphan": (),
}


def test_the_status_of_an_event_is_told_from_its_deliveries_and_can_be_asked_for(
    durable_manager: EventsManager,
) -> None:
    store(durable_manager, *({"id": status, "runs": states} for status, states in STATES.items()))
    store(durable_manager, {"id": "none", "is_orphan": False})
    store(durable_manager, {"id": "dead and pending", "runs": ("dead", "pending"), "fired_at": -1.0})

    told = {event.id: event.status for event in look(durable_manager).events}

    assert told == {status: status for status in (*STATES, "none")} | {"dead and pending": "partial"}
    for status in (*STATES, "none"):
        assert ids(durable_manager, status=status)[0] == status
    assert ids(durable_manager, status="partial") == ["partial", "dead and pending"]


def test_an_event_tells_its_jobs_how_long_they_took_and_its_chain(durable_manager: EventsManager) -> None:
    store(
        durable_manager,
        {"id": "root", "runs": ("done", "dead"), "fired_at": 100.0},
        {"id": "child", "root_id": "root", "runs": ("pending", "done"), "fired_at": 101.0},
    )

    child, root = look(durable_manager).events

    assert (root.done, root.jobs, root.seconds, root.chain) == (1, 2, 0.5, 2)
    assert (child.done, child.jobs, child.seconds, child.chain) == (1, 2, None, 2)


def test_chains_are_counted_up_to_a_bound(durable_manager: EventsManager, monkeypatch: pytest.MonkeyPatch) -> None:
    store(durable_manager, {"id": "root"}, *({"root_id": "root"} for _ in range(1)), {"id": "x", "root_id": "root"})
    monkeypatch.setattr(fired, "LONGEST_CHAIN", 1)

    with durable_manager.log.read() as connection:
        assert chains_of(connection, ["root", "x"]) == {"root": 1, "x": 0}


NAMED = [
    ("order.paid", ["order.paid"]),
    ("order.*", ["order.sent", "order.paid"]),
    ("*paid", ["order.paid"]),
    ("Order.*", []),
    ("order?paid", []),
    ("order_paid", []),
    ("order_*", []),
    ("%", []),
    ("a[b]_?*", ["a[b]_?%"]),
]


def test_a_star_in_a_name_stands_for_any_text(durable_manager: EventsManager) -> None:
    store(durable_manager, *({"id": name, "name": name} for name in ("order.paid", "order.sent", "a[b]_?%")))

    for pattern, names in NAMED:
        assert ids(durable_manager, name=pattern) == names, pattern


def test_events_are_found_by_what_they_are_about(durable_manager: EventsManager) -> None:
    store(durable_manager, {"subject": "orders/7"}, {"subject": "orders/78"}, {"subject": None}, {"name": "orders/7"})

    assert ids(durable_manager, subject="orders/7") == ["e0"]
    assert ids(durable_manager, subject="orders/*") == ids(durable_manager, subject="*") == ["e1", "e0"]
    assert ids(durable_manager, subject="Orders/*") == []


PAYLOAD = {
    "user": {"id": 123, "name": "Ada L", "vip": True, "7": "seven", "none": None, "1.5": "x"},
    "items": [{"id": "456"}, {"id": 1.5}],
    "text": 'a"b\\ü\n',
}


LOOKED_FOR = [
    (("user", "id"), "123", True),
    (("user", "id"), "123.0", True),
    (("user", "id"), "12", False),
    (("user", "id"), "true", False),
    (("user", "name"), "Ada L", True),
    (("user", "name"), "ada l", False),
    (("user", "vip"), "true", True),
    (("user", "vip"), "1", False),
    (("user", "none"), "null", True),
    (("user", "nothing"), "null", False),
    (("user", "7"), "seven", True),
    (("items", "0", "id"), "456", True),
    (("items", "1", "id"), "1.50", True),
    (("items", "2", "id"), "1", False),
    (("user",), "123", False),
    (("text",), 'a"b\\ü\n', True),
    (("user", "id"), "9" * 400, False),
    (("user", "id"), "[" * 2000, False),
    (("us'er", "%", "]"), "NaN", False),
]


def test_events_are_found_by_a_value_in_their_payload(durable_manager: EventsManager) -> None:
    store(durable_manager, {"id": "it", "payload": json.dumps(PAYLOAD, ensure_ascii=False)}, {"payload": "[]"})

    for keys, value, is_found in LOOKED_FOR:
        assert ids(durable_manager, payload=((keys, value),)) == (["it"] if is_found else []), (keys, value)


def test_payloads_that_the_database_cannot_read_are_passed_by(durable_manager: EventsManager) -> None:
    store(durable_manager, {"payload": '{"a": "\\u0000"}'}, {"payload": '{"a": 1}'})

    assert ids(durable_manager, payload=((("a",), "1"),)) == ["e1"]


def test_events_are_found_by_job_error_source_id_root_and_time(durable_manager: EventsManager) -> None:
    store(durable_manager, {"source": "http"}, {"root_id": "e0"}, {})
    with durable_manager.log.begin() as connection:
        failure: dict[str, Any] = {"id": 7, "bus": "default", "job": "jobs:bill", "error_type": "shop.errors.NoStock"}
        failure |= {"frame": "f", "key": "k", "first_seen": 1.0, "last_seen": 1.0, "runs": 1, "note": ""}
        connection.execute(insert(failures), failure)
        connection.execute(insert(deliveries), run_of("e2", "done", job="jobs:bill", failure_id=7))

    assert ids(durable_manager, source="http") == ["e0"]
    assert ids(durable_manager, job="bill") == ids(durable_manager, job="jobs:bill") == ["e2"]
    assert ids(durable_manager, error="NoStock") == ids(durable_manager, error="shop.errors.NoStock") == ["e2"]
    assert ids(durable_manager, error="Stock") == ids(durable_manager, job="ill") == []
    assert ids(durable_manager, id="e1", since=500.0) == ["e1"]
    assert ids(durable_manager, root="e0") == ["e1", "e0"]
    assert ids(durable_manager, since=1.0) == ["e2", "e1"]
    assert ids(durable_manager, since=1.0, until=2.0) == ["e1"]
    assert ids(durable_manager, root="e0", source="http") == ["e0"]


def test_pages_go_on_without_a_gap_or_a_double(durable_manager: EventsManager, monkeypatch: pytest.MonkeyPatch) -> None:
    store(durable_manager, *({"fired_at": float(n // 3), "name": "ab"[n % 4 == 0]} for n in range(20)))
    monkeypatch.setattr(fired, "SEARCHED", 6)

    for asked, wanted in (
        (Asked(), range(20)),
        (Asked(status="orphan"), range(20)),
        (Asked(name="b*"), range(0, 20, 4)),
    ):
        newest = pages(durable_manager, asked, oldest_first=False)
        oldest = pages(durable_manager, asked, oldest_first=True)
        assert newest == oldest[::-1] and sorted(newest) == sorted(f"e{n}" for n in wanted)


def pages(manager: EventsManager, asked: Asked, *, oldest_first: bool) -> list[str]:
    with manager.log.read() as connection:
        page = find(connection, asked, 4, oldest_first=oldest_first)
        seen = [event.id for event in page.events]
        while page.next:
            page = find(connection, asked, 4, page.next, oldest_first=oldest_first)
            seen += [event.id for event in page.events]
    return seen


def test_a_search_that_stopped_says_where_and_the_count_that_there_may_be_more(
    durable_manager: EventsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(durable_manager, *({"name": "ab"[n % 2]} for n in range(10)))
    monkeypatch.setattr(fired, "SEARCHED", 4)
    monkeypatch.setattr(fired, "COUNTED", 5)

    page = look(durable_manager, name="a")

    assert [event.id for event in page.events] == ["e8", "e6"]
    assert page.searched_until == 6.0 and page.next == (6.0, "e6")
    assert page.count == (2, True) and look(durable_manager, after=page.next, name="a").count is None
    assert look(durable_manager).count == (5, True)
    assert look(durable_manager, since=7.0).count == look(durable_manager, since=7.0, source="app").count == (3, False)


@pytest.mark.parametrize(
    "asked",
    [
        Asked(),
        Asked(since=1.0, until=9.0),
        Asked(name="a*"),
        Asked(status="failed"),
        Asked(status="waiting", job="send", error="ValueError"),
        Asked(payload=((("a",), "1"),)),
        Asked(subject="orders/*"),
    ],
)
def test_sqlite_looks_through_the_newest_by_an_index_only(app_with_a_file: EventsManager, asked: Asked) -> None:
    store(app_with_a_file, {"runs": ("done",)})

    with app_with_a_file.log.read() as connection:
        looked: list[str] = []
        raw: Any = connection.connection.dbapi_connection
        raw.set_trace_callback(looked.append)
        find(connection, asked, 50)
        raw.set_trace_callback(None)
        plans = [row[-1] for said in looked for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {said}")]

    assert any("condor_fired" in step for step in plans)
    assert not [step for step in plans if "SCAN condor_" in step or "condor_dead" in step or "condor_due" in step]


@pytest.fixture
def person(tmp_path: Path) -> Person:
    app = Flask("events")
    app.debug = app.testing = True
    app.config["CONDOR_DATABASE_URL"] = f"sqlite:///{tmp_path / 'condor.db'}"
    Condor(app)
    return Person(app.extensions["condor"])


def test_the_page_lists_events_by_the_filters_of_its_url(person: Person) -> None:
    at = time.time() - 60
    store(person.manager, {"name": "<b>paid", "fired_at": at, "runs": ("done",)}, {"name": "sent", "fired_at": at})

    page = person.open("/events")
    sent = person.open("/events?name=s*&status=orphan&payload=a:1")

    assert "&lt;b&gt;paid" in page and "<b>paid" not in page and "2 events" in re.sub("<[^>]+>", "", page)
    assert "No event is like that" in sent and "Remove the filter Status" in sent
    assert "/condor/events/e1" in person.open("/events?name=s*") and "/condor/events/e0" not in person.open(
        "/events?name=s*"
    )
    assert "No event is like that" in person.open("/events?period=15m&since=2020-01-01&name=x")


def test_the_subject_stands_below_the_name_in_the_export_and_in_the_filters(person: Person) -> None:
    at = time.time() - 60
    store(person.manager, {"subject": "<i>orders/7", "fired_at": at}, {"subject": "", "fired_at": at}, {"fired_at": at})

    page = person.open("/events?subject=*orders/*")
    rows = json.loads(person.open("/events?format=json"))["rows"]

    assert page.count('<td class="wide">') == page.count('class="subject"') == 1
    assert ">&lt;i&gt;orders/7</span></td>" in page and "Remove the filter Subject" in page
    assert person.open("/events").count('class="subject"') == 1
    assert sorted((row["id"], row["subject"]) for row in rows) == [("e0", "<i>orders/7"), ("e1", ""), ("e2", None)]


def test_pages_are_led_to_by_a_link(person: Person) -> None:
    store(person.manager, *({"fired_at": time.time() - n} for n in range(60)))

    first = person.open("/events")
    link = re.search(r'href="/condor(/events\?[^"]*cursor=[^"]*)" rel="next"', first)
    assert link
    second = person.open(unescape(link[1]))

    assert first.count('<td class="wide">') == 50 and second.count('<td class="wide">') == 10
    assert "No more rows" in second and "e59" in second


def test_the_export_holds_what_the_filter_asks_for(person: Person) -> None:
    store(person.manager, {"name": "=1+1", "fired_at": time.time()}, {"name": "other", "fired_at": time.time()})

    rows = json.loads(person.open("/events?format=json&name=o*"))["rows"]
    table = person.open("/events?format=csv&name=*1")

    assert [(row["id"], row["status"]) for row in rows] == [("e1", "orphan")]
    assert "'=1+1" in table and "other" not in table


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("status=x", "status='x' is none of: ok"),
        ("source=x", "source='x' is none of"),
        ("payload=x", "names no value of a payload"),
        ("payload=user.password:hunter2", "payload.user.password is hidden (CONDOR_REDACT_KEYS)"),
        ("payload=tokens.0.a:1", "is hidden"),
        ("cursor=x", "cursor= is no place"),
        ("sort=up", "sort='up' is none of"),
        ("period=x", "period="),
        ("name=%00", "is no text that is stored anywhere"),
        ("name=" + "x" * 300, "has 300 characters"),
        ("subject=" + "x" * 256, "subject= has 256 characters"),
    ],
)
def test_what_means_nothing_is_told_on_a_page(person: Person, query: str, told: str) -> None:
    assert told in unescape(person.open(f"/events?{query}", 400))


def test_a_page_that_says_what_is_wrong_leads_to_the_same_one_without_filters(person: Person) -> None:
    assert '<a href="/condor/events">This page without its filters</a>' in person.open("/events?status=x", 400)
    assert "without its filters" not in person.open("/events/nothing", 404)


def test_all_filters_are_taken_out_by_one_link_which_keeps_the_period(person: Person) -> None:
    page = person.open("/events?name=x&status=ok&period=24h")

    assert '<a href="/condor/events?period=24h">Clear all</a>' in page
    assert "Clear all" not in person.open("/events?name=x")


def test_the_search_field_leads_to_the_list_or_the_event(person: Person) -> None:
    id = "019ab3c4-0000-7000-8000-000000000001"

    def led(query: str) -> str | None:
        return person.client.get(f"/condor/search?period=24h&q={query}").location

    assert led("name:order.*+status:failed") == "/condor/events?period=24h&name=order.%2A&status=failed"
    assert led("payload.user.id:123") == "/condor/events?period=24h&payload=user.id%3A123"
    assert led(id) == f"/condor/events/{id}?period=24h" and led("") == "/condor/events?period=24h"
    assert "Did you mean name:?" in person.open("/search?q=nmae:x", 400)
    assert "is hidden" in person.open("/search?q=payload.password:x", 400)
    assert "<b>" not in person.open("/search?q=status:<b>", 400)


def test_a_state_in_the_search_leads_to_the_runs(person: Person) -> None:
    led = person.client.get("/condor/search?q=state:dead+job:send+name:order.paid").location

    assert led == "/condor/runs?event=order.paid&job=send&state=dead"
    assert "is none of: waiting" in unescape(person.open("/search?q=state:x", 400))
    assert "state: is of runs, which error: does not" in person.open("/search?q=state:dead+error:X", 400)


def test_a_worker_in_the_search_leads_to_its_runs(person: Person) -> None:
    led = person.client.get("/condor/search?q=worker:host:7:ab+job:send").location

    assert led == "/condor/runs?job=send&worker=host%3A7%3Aab"
    assert "worker: is of runs, which root: does not" in person.open("/search?q=worker:a+root:b", 400)


def test_all_events_of_a_name_can_be_replayed_as_an_operation(person: Person) -> None:
    store(person.manager, {"name": "paid", "fired_at": time.time()})

    assert "/operations/new?kind=replay&amp;event=paid&amp;from=20" in person.open("/events?name=paid")
    others = person.open("/events?name=p*") + person.open("/events?name=paid&status=orphan")
    assert "/operations/new?" not in others
