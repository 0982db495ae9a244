"""What is stored, as ``flask events log`` and ``show`` tell it, and as the functions of history read it."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor.history import Chosen
from flask_condor.history import Line
from flask_condor.history import event_of
from flask_condor.history import family_of
from flask_condor.history import lines
from flask_condor.models import deliveries
from flask_condor.models import events
from sqlalchemy import insert
from sqlalchemy import update

from tests.commands import printed
from tests.commands import printed_json
from tests.commands import refusal


def mail(event: Event[Any], ctx: Context) -> None:
    pass


def Mail(event: Event[Any], ctx: Context) -> None:
    pass


def fork(event: Event[Any], ctx: Context) -> None:
    for _ in range(2 if event.depth < 3 else 0):
        ctx.events.fire(Event("forked"))


@pytest.fixture
def manager(durable_manager: EventsManager) -> EventsManager:
    durable_manager.register("user-registered", mail, run="queued")
    durable_manager.register("password-changed", mail, run="queued")
    durable_manager.register("password-changed", Mail, run="queued")
    durable_manager.register("forked", fork)
    return durable_manager


@pytest.fixture
def file_manager(tmp_path: Path) -> EventsManager:
    app = Flask("one file")
    app.config["CONDOR_DATABASE_URL"] = f"sqlite:///{tmp_path / 'condor.db'}"
    Condor(app)
    manager: EventsManager = app.extensions["condor"]
    manager.register("user-registered", mail, run="queued")
    return manager


def end(manager: EventsManager, id: int, state: str, **values: Any) -> None:
    values = {"attempt": 1, "started_at": 100.0, "finished_at": 100.25} | values
    with manager.log.begin() as connection:
        connection.execute(update(deliveries).where(deliveries.c.id == id).values(state=state, **values))


def numbers(manager: EventsManager, *args: object) -> list[int | None]:
    return [line["delivery"] for line in printed_json(manager, "log", *args)]


def test_the_log_shows_the_newest_first_a_line_for_each_delivery(manager: EventsManager) -> None:
    first = manager.fire(Event("user-registered"))
    orphan = manager.emit("nobody-listens")
    assert manager.queueing.recorder.flush(60)
    second = manager.fire(Event("password-changed"))
    end(manager, 1, "dead")

    header, _, *told = [line.split() for line in printed(manager, "log").splitlines()]

    assert header[:5] == ["Time", "(UTC)", "Event", "Job", "Run"]
    assert [line[2:] for line in told] == [
        ["password-changed", "Mail", "queued", "pending", "0", "-", "3", second.id],
        ["password-changed", "mail", "queued", "pending", "0", "-", "2", second.id],
        ["nobody-listens", "-", "-", "orphan", "-", "-", "-", orphan.id],
        ["user-registered", "mail", "queued", "dead", "1", "0.25", "s", "1", first.id],
    ]


def test_the_log_as_json_has_the_whole_path_of_the_job_and_exact_times(file_manager: EventsManager) -> None:
    event = file_manager.fire(Event("user-registered"))

    (line,) = printed_json(file_manager, "log")

    assert (line["job"], line["id"], line["orphan"]) == (f"{__name__}:mail", event.id, False)
    assert line["time"] == event.fired_at.isoformat(timespec="microseconds")


def test_the_log_as_json_and_the_event_say_what_it_is_about(manager: EventsManager) -> None:
    event = manager.fire(Event("user-registered"))
    with manager.log.begin() as connection:
        connection.execute(update(events).values(subject="users/7\x1b"))

    assert [line["subject"] for line in printed_json(manager, "log")] == ["users/7\x1b"]
    assert r"Subject:   users/7\x1b" in printed(manager, "show", event.id).splitlines()
    (shown,) = printed_json(manager, "show", event.id)
    assert shown["subject"] == "users/7\x1b"


def test_the_log_is_filtered_by_event_job_state_time_and_orphans(manager: EventsManager) -> None:
    manager.fire(Event("user-registered"))
    manager.fire(Event("password-changed"))
    manager.emit("nobody-listens")
    assert manager.queueing.recorder.flush(60)
    end(manager, 2, "dead")

    assert numbers(manager, "--event", "password-changed") == [3, 2]
    assert numbers(manager, "--job", "mail") == [2, 1]
    assert numbers(manager, "--job", f"{__name__}:Mail") == [3]
    assert numbers(manager, "--job", "ail") == numbers(manager, "--state", "done") == []
    assert numbers(manager, "--state", "dead") == numbers(manager, "--state", "dead", "--job", "mail") == [2]
    assert numbers(manager, "--state", "pending", "--event", "password-changed") == [3]
    assert numbers(manager, "--orphans") == [None]
    assert numbers(manager, "--since", "1h", "--limit", "2") == [None, 3]
    assert numbers(manager, "--since", "2999-01-01") == []
    assert printed(manager, "log", "--since", "2999-01-01T00:00+05:00") == "Nothing in the event log is like that.\n"


@pytest.mark.parametrize("command", ["log", "stats"])
def test_a_log_that_is_off_says_so(tmp_path: Path, command: str) -> None:
    app = Flask("off", instance_path=str(tmp_path))
    Condor(app)

    assert app.test_cli_runner().invoke(args=["events", command]).output == (
        "The event log is off while no job is queued and no CONDOR_DATABASE_URL is set.\n"
    )


def test_a_log_in_which_nothing_is_yet_says_so(manager: EventsManager) -> None:
    assert printed(manager, "log") == printed(manager, "log", "--limit", "5") == "The event log is empty.\n"
    assert printed(manager, "log", "--orphans") == "Nothing in the event log is like that.\n"


def test_lines_go_on_after_any_line_without_a_gap_or_a_double(manager: EventsManager) -> None:
    with manager.log.begin() as connection:
        rows = [row_of(f"e{n}", fired_at=float(n // 3)) for n in range(10)]
        connection.execute(insert(events), rows)
        runs = [run_of(row["id"]) for row in rows[2:] for _ in range(2)]
        connection.execute(insert(deliveries), runs)

    with manager.log.read() as connection:
        whole = lines(connection, Chosen(), 100)
        paged: list[Line] = []
        while page := lines(connection, Chosen(), 3, place_of(paged)):
            paged += page

    assert len(whole) == 18 and paged == whole


def place_of(seen: list[Line]) -> tuple[float, str, int] | None:
    return (seen[-1].fired_at, seen[-1].event_id, seen[-1].delivery or 0) if seen else None


def row_of(id: str, **values: Any) -> dict[str, Any]:
    row = {"id": id, "name": "a", "payload": "null", "is_replayable": True, "is_orphan": False, "source": "app"}
    return row | {"fired_at": 1.0, "root_id": id, "path": "[]", "cause_id": None, "bus": "default"} | values


def run_of(event_id: str, **values: Any) -> dict[str, Any]:
    row = {"event_id": event_id, "job": "jobs:mail", "run": "queued", "queue": "default", "priority": 0}
    return row | {"state": "pending", "due_at": 1.0, "attempt": 0, "losses": 0, "bus": "default"} | values


@pytest.mark.parametrize(
    ("chosen", "index"),
    [
        (Chosen(), "condor_fired"),
        (Chosen(name="a"), "condor_fired"),
        (Chosen(job="a"), "condor_fired"),
        (Chosen(state="done"), "condor_fired"),
        (Chosen(since=1.0), "condor_fired"),
        (Chosen(state="dead"), "condor_dead"),
        (Chosen(state="pending"), "condor_due"),
        (Chosen(state="running"), "condor_leases"),
    ],
)
def test_sqlite_finds_the_newest_lines_by_an_index(file_manager: EventsManager, chosen: Chosen, index: str) -> None:
    file_manager.fire(Event("user-registered"))

    with file_manager.log.read() as connection:
        looked: list[str] = []
        raw: Any = connection.connection.dbapi_connection
        raw.set_trace_callback(looked.append)
        lines(connection, chosen, 20)
        raw.set_trace_callback(None)
        plan = [row[-1] for row in connection.exec_driver_sql("EXPLAIN QUERY PLAN " + looked[-1])]

    assert index in plan[0] and "SCAN condor_deliveries" not in plan


def test_show_tells_all_of_an_event_by_its_id_or_the_number_of_a_delivery(manager: EventsManager) -> None:
    event = manager.fire(Event("user-registered", {"user": "ada"}))
    end(manager, 1, "dead", error="Traceback\n  in mail\nValueError: no such address\n")

    said = printed(manager, "show", event.id)

    assert printed(manager, "show", 1) == said
    assert said.splitlines()[:2] == ["Event:     user-registered", f"Id:        {event.id}"]
    assert 'Payload:   {\n  "user": "ada"\n}\n' in said and "Chain:" not in said
    assert "Error of 1: ValueError: no such address" in said and "in mail" not in said
    assert "    in mail" in printed(manager, "show", 1, "--full")


def test_show_tells_the_result_and_what_a_replay_repeats(file_manager: EventsManager) -> None:
    event = file_manager.fire(Event("user-registered"))
    again = file_manager.replay(event.id)
    end(file_manager, 1, "done", result='{"sent": true}')

    assert 'Result of 1: {\n  "sent": true\n}' in printed(file_manager, "show", event.id)
    assert f"Replay of: {event.id}" in printed(file_manager, "show", again.id)


def test_show_tells_the_same_as_json(file_manager: EventsManager) -> None:
    event = file_manager.fire(Event("user-registered", {"user": "ada"}))
    end(file_manager, 1, "done", result="[1]")

    (said,) = printed_json(file_manager, "show", event.id)

    assert (said["id"], said["payload"], said["is_replayable"]) == (event.id, {"user": "ada"}, True)
    assert (said["deliveries"][0]["id"], said["deliveries"][0]["result"]) == (1, [1])
    assert [one["id"] for one in said["chain"]] == [event.id] and said["chain"][0]["states"] == {"done": 1}


def test_show_draws_the_chain_from_the_root_and_marks_the_event(manager: EventsManager) -> None:
    root = manager.fire(Event("forked"))
    assert manager.queueing.recorder.flush(60)
    with manager.log.read() as connection:
        stored = event_of(connection, root.id)
        assert stored is not None
        members = family_of(connection, stored, 50).members
    _, first, leaf, *_ = members

    said = printed(manager, "show", leaf.id)
    tree = said.partition("Chain:\n")[2].splitlines()

    assert [line[: line.index("forked")] for line in tree] == [
        "  ",
        "  |-- ",
        "  |   |-- ",
        "  |   `-- ",
        "  `-- ",
        "      |-- ",
        "      `-- ",
    ]
    assert root.id in tree[0] and first.id in tree[1] and "1 done" in tree[0]
    assert [line.endswith("<-- this one") for line in tree].index(True) == 2
    assert f"job fork of forked {first.id}" in said


def test_show_of_a_large_family_is_bounded_but_has_the_event_and_what_led_to_it(manager: EventsManager) -> None:
    with manager.log.begin() as connection:
        connection.execute(insert(events), [row_of("root")])
        many = [row_of(f"child{n:04}", root_id="root", cause_id="root", fired_at=2.0 + n) for n in range(2000)]
        deep = [row_of("deep", root_id="root", cause_id="child1990", fired_at=9000.0)]
        connection.execute(insert(events), many + deep)

    tree = printed(manager, "show", "deep").partition("Chain:\n")[2]

    assert "root" in tree and "child1990" in tree and "deep <-- this one" in tree
    assert len(tree.splitlines()) < 60 and "and 1,949 more" in tree


def test_show_of_an_event_whose_root_was_pruned_says_so(file_manager: EventsManager) -> None:
    with file_manager.log.begin() as connection:
        children = [row_of(id, root_id="gone", cause_id="gone", fired_at=2.0) for id in ("one", "two")]
        connection.execute(insert(events), children)

    tree = printed(file_manager, "show", "two").partition("Chain:\n")[2].splitlines()

    assert tree == ["  gone, which began it, is not in the log any more", "  a  one", "  a  two <-- this one"]


def test_causes_that_lead_in_a_circle_are_shown_without_an_end(file_manager: EventsManager) -> None:
    with file_manager.log.begin() as connection:
        circle = [row_of("one", root_id="root", cause_id="two"), row_of("two", root_id="root", cause_id="one")]
        connection.execute(insert(events), [row_of("root"), *circle])

    assert "Chain:" in printed(file_manager, "show", "one")


NASTY = "\x1b[2J\x07\r\n\u202eevil\u2066\x7f\x9b"


def test_nothing_that_is_stored_reaches_the_terminal_raw(manager: EventsManager) -> None:
    with manager.log.begin() as connection:
        row = row_of(f"id{NASTY}", name=NASTY, payload=json.dumps({NASTY: [NASTY]}), source=NASTY[:9])
        row |= {"root_id": f"root{NASTY}", "cause_id": NASTY, "cause_name": NASTY, "cause_job": NASTY}
        connection.execute(insert(events), [row | {"replay_of": NASTY}, row | {"id": f"2{NASTY}", "replay_of": None}])
        told = {"job": f"m:{NASTY}", "error": NASTY, "result": json.dumps(NASTY), "worker": NASTY}
        connection.execute(insert(deliveries), [run_of(row["id"], **told)])

    for args in (["log"], ["log", "--json"], ["show", 1, "--full"], ["show", 1, "--json"]):
        said = printed(manager, *args)
        assert all(one.isprintable() or one == "\n" for one in said), args
    assert r"\u001b[2J" in said and "Chain" not in said and "Chain:" in printed(manager, "show", 1)
    assert r"\x1b[2J" in printed(manager, "log")


def test_text_that_is_no_utf_8_in_an_sqlite_file_can_be_read_too(file_manager: EventsManager, tmp_path: Path) -> None:
    event = file_manager.fire(Event("user-registered", {"user": "ada"}))
    with sqlite3.connect(tmp_path / "condor.db") as connection:
        connection.execute("UPDATE condor_events SET name = CAST(x'61ff62' AS TEXT), payload = CAST(x'22ff' AS TEXT)")
        connection.execute("UPDATE condor_deliveries SET error = CAST(x'eda080' AS TEXT)")
    connection.close()

    assert r"a\xffb" in printed(file_manager, "log").replace("\\\\", "\\")
    said = printed(file_manager, "show", event.id)
    assert r"a\xffb" in said.replace("\\\\", "\\") and r"\xed\xa0\x80" in said.replace("\\\\", "\\")


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["log", "--state", "lost"], "'lost' is not one of 'pending', 'running', 'done', 'dead', 'cancelled'"),
        (["log", "--limit", "0"], "0 is not in the range"),
        (["log", "--limit", "many"], "'many' is not a valid integer"),
        (["log", "--limit", "9" * 40], "is not in the range"),
        (["log", "--since", "yesterday"], "'yesterday' is no time. Type 2026-11-21 09:00 (UTC), or how long ago"),
        (["log", "--since", ""], "'' is no time"),
        (["log", "--event"], "Option '--event' requires an argument"),
        (["log", "--event", "\udcff"], "is no UTF-8 text"),
        (["log", "user-registered"], "unexpected extra argument (user-registered)"),
        (["log", "--evnt", "a"], "No such option"),
        (["show"], "Missing argument 'ID'"),
        (["show", "none"], "'none' is neither an event nor a delivery in the event log"),
        (["show", "99"], "'99' is neither an event nor a delivery"),
        (["show", "0"], "0 is no number of a delivery"),
        (["show", ""], "'' is no number of a delivery"),
        (["show", "9" * 30], "is neither an event nor a delivery"),
        (["show", "a\x1b[2J"], r"'a\x1b[2J' is neither"),
        (["show", "1", "2"], "unexpected extra argument"),
        (["lgo"], "No such command 'lgo'"),
        (["--loud"], "No such option"),
    ],
)
def test_wrong_arguments_are_told_in_one_line_with_status_2(
    file_manager: EventsManager, args: list[str], told: str
) -> None:
    error = refusal(file_manager, *args)

    assert error.startswith("Error: ") and told in error and error.count("\n") == 1
    assert all(one.isprintable() or one == "\n" for one in error)


def test_an_event_whose_id_is_a_number_is_shown_where_no_delivery_has_it(file_manager: EventsManager) -> None:
    file_manager.fire(Event("user-registered", id="77"))

    assert "Id:        77" in printed(file_manager, "show", "77")
