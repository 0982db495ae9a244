"""The service: what each request leaves in the database and the outbox."""

from __future__ import annotations

from email import message_from_bytes
from email import policy
from email.message import EmailMessage
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_condor.cli import events
from sqlalchemy import select
from sqlalchemy import text
from sqlalchemy.orm import DeclarativeBase

import models

ADA = {"name": "Ada", "email": "ada@example.com", "password": "correct horse"}
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def rows(app: Flask, table: type[DeclarativeBase]) -> list[Any]:
    with app.app_context(), models.open_session() as session:
        return list(session.scalars(select(table)))


def audit(app: Flask) -> list[tuple[str, str]]:
    return [(entry.event_name, entry.detail) for entry in rows(app, models.AuditEntry)]


def mails(app: Flask) -> list[EmailMessage]:
    paths = sorted(Path(app.config["OUTBOX"]).glob("*.eml"))
    return [message_from_bytes(path.read_bytes(), policy=policy.default) for path in paths]


def run_what_is_due(app: Flask) -> None:
    result = app.test_cli_runner().invoke(events, ["worker", "--once"])
    assert result.exit_code == 0, result.output


def deliveries(app: Flask) -> list[tuple[str, str, str | None]]:
    with app.extensions["condor"].log.read() as connection:
        rows = connection.execute(text("SELECT job, state, result FROM condor_deliveries WHERE run = 'queued'"))
        return [(row.job.partition(":")[2], row.state, row.result) for row in rows]


def test_signing_up_writes_the_user_an_audit_entry_and_a_welcome_mail(app: Flask, client: FlaskClient) -> None:
    response = client.post("/signup", json=ADA)
    assert mails(app) == []
    run_what_is_due(app)

    assert (response.status_code, response.json) == (201, {"id": 1, "name": "Ada", "email": "ada@example.com"})
    assert [user.email for user in rows(app, models.User)] == ["ada@example.com"]
    assert audit(app) == [("user.registered", "id: 1, name: Ada, email: ada@example.com")]
    assert [(mail["To"], mail["Subject"]) for mail in mails(app)] == [("ada@example.com", "Welcome, Ada")]


def test_who_has_not_uploaded_anything_is_reminded_after_a_day(app: Flask, client: FlaskClient) -> None:
    client.post("/signup", json=ADA)
    run_what_is_due(app)
    assert ("send_first_upload_reminder", "pending", None) in deliveries(app)

    with app.extensions["condor"].log.begin() as connection:
        connection.execute(text("UPDATE condor_deliveries SET due_at = due_at - 24 * 3600"))
    run_what_is_due(app)

    assert ("send_first_upload_reminder", "done", None) in deliveries(app)
    assert {mail["Subject"] for mail in mails(app)} == {"Welcome, Ada", "Nothing to search yet"}


def test_a_sign_up_that_is_refused_leaves_nothing_for_a_worker(app: Flask, client: FlaskClient) -> None:
    client.post("/signup", json=ADA)
    client.post("/signup", json=ADA)

    assert len(deliveries(app)) == 2


def test_changing_the_password_changes_it_and_tells_the_user(app: Flask, client: FlaskClient) -> None:
    client.post("/signup", json=ADA)
    change = {"email": ADA["email"], "password": ADA["password"], "new_password": "battery staple"}

    response = client.post("/password", json=change)
    again = client.post("/password", json=change)

    assert (response.status_code, response.json) == (200, {"status": "changed"})
    assert again.status_code == 403
    assert audit(app)[1:] == [("password-changed", "user: ada@example.com")]
    assert mails(app)[-1]["Subject"] == "Your password was changed"


def test_uploads_are_indexed_by_the_chain_of_events_and_reported(app: Flask, client: FlaskClient) -> None:
    client.post("/signup", json=ADA)
    files = [(BytesIO(b"to be or not to be"), "hamlet.txt"), (BytesIO(b"all the world"), "as you like it.txt")]

    response = client.post("/uploads", data={"email": ADA["email"], "files": files})

    assert (response.status_code, response.json) == (201, {"uploads": [1, 2]})
    assert [upload.word_count for upload in rows(app, models.Upload)] == [None, None]
    run_what_is_due(app)
    assert [upload.word_count for upload in rows(app, models.Upload)] == [6, 3]
    assert {(word.word, word.times) for word in rows(app, models.IndexedWord) if word.upload_id == 1} == {
        ("to", 2),
        ("be", 2),
        ("or", 1),
        ("not", 1),
    }
    assert sorted(name for name, _ in audit(app)[1:]) == [
        *("file.processed",) * 2,
        *("file.uploaded",) * 2,
        "process-completed",
    ]
    assert deliveries(app)[-2:] == [("process_upload", "done", '{"success":true}')] * 2
    assert "2 of your files received" in [mail["Subject"] for mail in mails(app)]


def test_an_upload_that_a_worker_runs_again_is_indexed_once(app: Flask, client: FlaskClient) -> None:
    client.post("/signup", json=ADA)
    client.post("/uploads", data={"email": ADA["email"], "files": [(BytesIO(b"to be"), "hamlet.txt")]})
    run_what_is_due(app)

    with app.extensions["condor"].log.begin() as connection:
        connection.execute(text("UPDATE condor_deliveries SET state = 'pending' WHERE job LIKE '%process_upload'"))
    run_what_is_due(app)

    assert [name for name, _ in audit(app)].count("file.processed") == 1
    assert deliveries(app)[-1] == ("process_upload", "done", '{"success":true}')


def test_a_browser_comes_back_to_the_home_page_and_sees_what_the_jobs_did(app: Flask, client: FlaskClient) -> None:
    response = client.post("/signup", data=ADA, headers=BROWSER, follow_redirects=True)
    run_what_is_due(app)

    assert response.status_code == 200
    assert "user.registered" in response.text
    assert "Welcome, Ada" in client.get("/").text


def test_the_home_page_of_a_fresh_service_explains_itself(client: FlaskClient) -> None:
    page = client.get("/").text

    assert page.count("<form") == 3
    assert "register_events.py" in page
    assert "None yet: sign up above." in page


@pytest.mark.parametrize(
    ("path", "posted", "status", "said"),
    [
        ("/signup", {}, 400, "missing required field `name`"),
        ("/signup", ADA | {"email": "nobody"}, 400, "`$.email`"),
        ("/signup", ADA | {"name": "Ada\r\nBcc: all@example.com"}, 400, "`$.name`"),
        ("/signup", ADA | {"name": "Ada\n"}, 400, "`$.name`"),
        ("/signup", ADA | {"email": "ada@example.com\n"}, 400, "`$.email`"),
        ("/signup", ADA | {"password": "short"}, 400, "length >= 8"),
        ("/signup", ADA | {"name": 7}, 400, "Expected `str`, got `int`"),
        ("/signup", [], 400, "Expected `object`, got `array`"),
        ("/password", {"email": "x", "password": "y", "new_password": "z" * 8}, 403, "do not belong together"),
        ("/uploads", {"email": "ada@example.com"}, 400, "No file came with the request"),
        ("/nowhere", {}, 404, "not found"),
    ],
)
def test_bad_input_is_answered_with_what_is_wrong_and_fires_nothing(
    app: Flask, client: FlaskClient, path: str, posted: Any, status: int, said: str
) -> None:
    response = client.post(path, json=posted)

    assert response.status_code == status
    assert said in (response.json or {})["error"]
    assert (audit(app), mails(app)) == ([], [])


@pytest.mark.parametrize("body", [b"", b"{", b'{"name": "\\ud800"}', b"\xff", b'{"name": "\xff"}'])
def test_json_that_is_none_is_a_400(client: FlaskClient, body: bytes) -> None:
    assert client.post("/signup", data=body, content_type="application/json").status_code == 400


def test_a_browser_is_shown_the_error_on_the_home_page(client: FlaskClient) -> None:
    response = client.post("/signup", data=ADA | {"password": "short"}, headers=BROWSER)

    assert response.status_code == 400
    assert '<p class="error" role="alert">' in response.text


def test_an_email_can_sign_up_once(app: Flask, client: FlaskClient) -> None:
    client.post("/signup", json=ADA)

    response = client.post("/signup", json=ADA)

    assert response.status_code == 409
    assert len(rows(app, models.User)) == 1


def test_an_upload_of_a_stranger_is_refused(app: Flask, client: FlaskClient) -> None:
    response = client.post("/uploads", data={"email": "eve@example.com", "files": [(BytesIO(b"x"), "x.txt")]})

    assert response.status_code == 404
    assert rows(app, models.Upload) == []
