"""The screen System: how the app is set up, without its secrets, and who did what."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
from flask import Flask
from flask_condor import EventsManager
from flask_condor.dashboard.reading import audited
from flask_condor.dashboard.reading.audited import Wanted
from flask_condor.dashboard.reading.audited import notes
from flask_condor.dashboard.reading.lag import rates_lag
from flask_condor.dashboard.reading.sizes import database_bytes
from flask_condor.dashboard.reading.sizes import kept
from flask_condor.dashboard.reading.sizes import server_of
from flask_condor.dashboard.reading.sizes import sizes
from flask_condor.models import audit
from flask_condor.models import metadata
from flask_condor.rates import Finished
from flask_condor.rates import add_runs
from sqlalchemy import insert
from sqlalchemy.engine import Connection

from tests.commands import run
from tests.dashboard.apps import ADA
from tests.dashboard.apps import USERS
from tests.dashboard.apps import make_app
from tests.dashboard.apps import manager_of
from tests.dashboard.test_overview import write_delivery

SECRET = "whsec_" + "c2VjcmV0" * 6


def write_notes(connection: Connection, count: int, *, actor: str = "ada", detail: str = "{}") -> None:
    row = {"actor": actor, "action": "retry", "event_id": "e1", "detail": detail, "bus": "default"}
    connection.execute(insert(audit), [row | {"at": 1000.0 + number // 3} for number in range(count)])


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    return make_app(tmp_path, users=USERS)


def test_settings_are_shown_without_what_is_secret(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'condor.db'}?key=hunter2"
    app = make_app(tmp_path, users=USERS, CONDOR_TRIGGER_SECRETS=[SECRET], CONDOR_DATABASE_URL=url, SECRET_KEY="s3cr3t")

    page = app.test_client().get("/condor/system", auth=ADA).text

    assert not [word for word in (SECRET, SECRET[6:], USERS["ada"], "hunter2", "s3cr3t") if word in page]
    assert "1 that are not shown" in page
    assert re.search(r"CONDOR_DASHBOARD_USERS</th><td[^>]*>ada<", page)
    assert re.search(r"CONDOR_RETENTION_DONE</th><td[^>]*>30 days</td><td[^>]*>default<", page)


def test_it_tells_what_each_table_takes(durable_manager: EventsManager) -> None:
    with durable_manager.log.begin() as connection:
        write_notes(connection, 20)

        found, whole, reaches = sizes(connection), database_bytes(connection), kept(connection)
        server = server_of(connection)

    assert {one.table for one in found} == set(metadata.tables)
    assert next(one.rows for one in found if one.table == "condor_audit") == 20
    assert 0 < sum(one.bytes or 0 for one in found) <= whole
    assert (reaches.oldest_event, reaches.oldest_end) == (None, None)
    assert re.fullmatch(r"(SQLite|PostgreSQL) \d+(\.\d+)+", server)


@pytest.mark.parametrize(("ended", "counted", "lag"), [(100, 100, 0), (100, None, 100), (7300, 3599, 3700), (59, 0, 0)])
def test_the_rates_lag_when_a_run_that_ended_is_not_counted(
    durable_manager: EventsManager, ended: float, counted: float | None, lag: float
) -> None:
    write_delivery(durable_manager, "e1", state="done", finished_at=ended)
    write_delivery(durable_manager, "e2", state="cancelled", finished_at=ended + 9000)
    with durable_manager.log.begin() as connection:
        add_runs(connection, [] if counted is None else [Finished("a", "m:j", "done", counted, 0.1)])

        assert rates_lag(connection) == lag


def test_the_lag_is_told_with_what_ends_it(app: Flask) -> None:
    client = app.test_client()
    none = client.get("/condor/system", auth=ADA).text
    write_delivery(manager_of(app), "e1", state="done", finished_at=7200.0)
    behind = client.get("/condor/system", auth=ADA).text
    with manager_of(app).log.begin() as connection:
        add_runs(connection, [Finished("a", "m:j", "done", 7200.0, 0.1)])
    level = client.get("/condor/system", auth=ADA).text

    found = [re.search(r"<dt>Roll-up lag</dt><dd>(.*?)</dd>", page) for page in (none, behind, level)]
    assert [told and told[1] for told in found] == [
        "nothing has ended yet",
        "2 h: `flask events stats --rebuild` counts what is missing",
        "0 s: each run is counted in the transaction that writes down how it ended",
    ]


def test_it_tells_what_this_process_has_yet_to_record(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flask_condor.recorder.Recorder.interval", 60.0)
    manager_of(app).emit("user.left")

    before = app.test_client().get("/condor/system", auth=ADA).text
    assert manager_of(app).queueing.recorder.flush(60)
    after = app.test_client().get("/condor/system", auth=ADA).text

    assert "the runs of 1 event, in this process" in before
    assert "nothing, in this process" in after


def test_it_tells_what_the_doctor_tells(app: Flask) -> None:
    page = app.test_client().get("/condor/system/doctor", auth=ADA).text

    told = run(manager_of(app), "doctor").stdout

    assert "is reached" in page or "not made yet" in page
    assert "1 registered, with 1 job" in page
    assert "1 registered, with 1 job" in told


def test_a_log_that_was_never_made_has_its_page_too(tmp_path: Path) -> None:
    client = make_app(tmp_path, users=USERS).test_client()

    answers = [client.get(f"/condor/system{rest}", auth=ADA) for rest in ("", "/doctor", "/audit")]

    assert [answer.status_code for answer in answers] == [200] * 3
    assert not (tmp_path / "condor.db").exists()


def test_who_did_what_is_paged_from_the_last_on(durable_manager: EventsManager) -> None:
    with durable_manager.log.begin() as connection:
        write_notes(connection, 125)
        pages: list[list[int]] = []
        place = None
        while not pages or place is not None:
            found, place = notes(connection, Wanted(), 50, place)
            pages.append([note.id for note in found])

    ids = [id for page in pages for id in page]

    assert [len(page) for page in pages][:2] == [50, 50]
    assert ids == sorted(set(ids), reverse=True)
    assert len(ids) == 125


def test_a_filter_looks_at_so_many_notes_and_goes_on_from_there(
    durable_manager: EventsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audited, "LOOKED_AT", 20)
    monkeypatch.setattr(audited, "CHUNK", 10)
    with durable_manager.log.begin() as connection:
        write_notes(connection, 1, actor="eve")
        write_notes(connection, 45)

        counts: list[int] = []
        place = None
        while not counts or place is not None:
            found, place = notes(connection, Wanted(actor="eve"), 50, place)
            counts.append(len(found))

    assert sum(counts) == 1
    assert len(counts) == 3


def test_the_audit_hides_secrets_on_the_page_and_in_its_files(app: Flask) -> None:
    client = app.test_client()
    with manager_of(app).log.begin() as connection:
        write_notes(connection, 3, actor="=cmd", detail='{"was": {"password": "hunter2", "attempt": 3}}')

    page, table = (client.get(f"/condor/system/audit{rest}", auth=ADA).text for rest in ("", "?format=csv"))
    none = client.get("/condor/system/audit?actor=nobody", auth=ADA).text

    assert "hunter2" not in page + table
    assert "[redacted]" in page and "[redacted]" in table
    assert [row[1] for row in csv.reader(io.StringIO(table))] == ["actor", *["'=cmd"] * 3]
    assert "Nothing was done yet." in none


def test_a_hash_of_a_password_is_printed_and_lets_its_user_in(tmp_path: Path, events_manager: EventsManager) -> None:
    result = run(events_manager, "password", typed="correct horse\ncorrect horse\n")
    hashed = result.stdout.strip()

    client = make_app(tmp_path, users={"eve": hashed}).test_client()

    assert (result.exit_code, hashed.startswith("scrypt:")) == (0, True)
    assert "correct horse" not in result.output
    assert client.get("/condor/", auth=("eve", "correct horse")).status_code == 200
    assert client.get("/condor/", auth=("eve", "other")).status_code == 401
