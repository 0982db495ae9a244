"""The screen Failures: groups, one of them with its sample and what tells its payloads apart, and what is done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask import Request
from flask.testing import FlaskClient
from flask_condor import Context
from flask_condor import Event
from flask_condor.dashboard.reading import differences
from flask_condor.dashboard.reading.differences import Difference
from flask_condor.dashboard.reading.differences import compared
from flask_condor.dashboard.traces import parts_of
from flask_condor.models import audit
from flask_condor.models import deliveries
from flask_condor.plan import Plan
from flask_condor.redaction import Redaction
from flask_condor.retry import Retry
from flask_condor.worker import Worker
from sqlalchemy import select

from tests.dashboard.apps import make_app
from tests.dashboard.apps import manager_of
from tests.dashboard.apps import press
from tests.dashboard.apps import token_of

allowed: set[str] = set()


class Declined(Exception):
    pass


def charge(event: Event[Any], ctx: Context) -> None:
    if event.payload["country"] == "FR":
        raise Declined("<b>no</b>, token=tok_live_1")


def authorize(action: str, request: Request) -> bool:
    return action in allowed


@pytest.fixture
def app(database_url: str, tmp_path: Path) -> Iterator[Flask]:
    """An app in which six of eight payments were declined and two were made."""
    allowed.clear()
    allowed.update(("view", "retry", "cancel", "purge"))
    app = make_app(tmp_path, authorize=authorize, CONDOR_DATABASE_URL=database_url)
    manager = manager_of(app)
    manager.register("order.placed", charge, run="queued", retry=Retry(max_attempts=1))
    for number in range(8):
        country = "FR" if number < 6 else "DE"
        manager.fire(Event("order.placed", {"country": country, "order": number, "password": "hunter2"}))
    run_all(app)
    yield app
    manager.log.engine.dispose()


def run_all(app: Flask) -> None:
    worker = Worker(manager_of(app), Plan(threads=1, once=True, replaceable=False))
    worker.open()
    worker.run()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def states(app: Flask) -> list[str]:
    with manager_of(app).log.read() as connection:
        return list(connection.scalars(select(deliveries.c.state).order_by(deliveries.c.id)))


def test_the_list_tells_of_each_failure_how_often_where_and_what_became_of_it(client: FlaskClient) -> None:
    page = client.get("/condor/failures").text

    assert ">Declined</a>" in page and ">charge</span>" in page and ">order.placed</a>" in page
    assert '<td class="number">6</td>' in page and "Retry 6" in page and "0 %" in page
    assert page.count('<svg class="spark"') == 1


@pytest.mark.parametrize(
    ("query", "is_there"),
    [
        ("job=charge", True),
        ("job=other", False),
        ("event=order.placed", True),
        ("event=order", False),
        ("error=Declined", True),
        ("error=ValueError", False),
        ("muted=yes&job=charge", False),
        ("order=runs", True),
        ("since=2020-01-01&until=2020-02-01", False),
    ],
)
def test_the_list_can_be_narrowed(client: FlaskClient, query: str, is_there: bool) -> None:
    page = client.get(f"/condor/failures?{query}").text

    assert (">Declined</a>" in page) is is_there
    assert is_there or "flask events failures --since 7d" in page


def test_when_none_is_muted_the_page_says_how_one_would_be(client: FlaskClient) -> None:
    page = client.get("/condor/failures?muted=yes").text

    assert "No failure is muted." in page and "with a note on its page" in page


def test_the_list_is_exported(client: FlaskClient) -> None:
    exported: Any = client.get("/condor/failures?format=json").json
    lines = client.get("/condor/failures?format=csv").text.splitlines()

    [row] = exported["rows"]
    assert (row["error"].rpartition(".")[2], row["runs"], row["muted"]) == ("Declined", 6, False)
    assert lines[0].startswith("failure,job,error,frame,runs") and len(lines) == 2


def test_one_failure_has_a_sample_with_its_secrets_hidden_and_what_its_payloads_have_in_common(
    client: FlaskClient,
) -> None:
    page = client.get("/condor/failures/1").text

    assert "Declined: &lt;b&gt;no&lt;/b&gt;, token=[redacted]" in page and "tok_live" not in page
    assert "frames of flask_condor</summary>" in page and 'class="own"' in page
    assert "payload.country" in page and "hunter2" not in page and "payload.password" not in page
    assert "The latest 6 that failed so, beside the latest 2" in page
    assert page.count('<a href="/condor/runs/') >= 6


def test_large_payloads_are_not_compared(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(differences, "LARGEST", 20)

    page = client.get("/condor/failures/1").text

    assert "payload.country" not in page and "nothing to compare with" in page


def test_all_that_is_dead_by_a_failure_is_retried_once(app: Flask, client: FlaskClient) -> None:
    token = token_of(client, "/condor/failures/1")

    answer = press(client, "/condor/failures/1/retry", token, {"condor_back": "/condor/failures/1"})
    again = press(client, "/condor/failures/1/retry", token, {"condor_back": "/condor/failures/1"})

    assert answer.status_code == 303 and answer.headers["Location"] == "/condor/failures/1"
    assert again.status_code == 303 and "Nothing is dead by it." in client.get("/condor/failures/1").text
    assert states(app) == ["pending"] * 6 + ["done"] * 2
    run_all(app)
    assert "<dd>12</dd>" in client.get("/condor/failures/1").text


def test_a_failure_is_muted_with_a_note_and_unmuted(app: Flask, client: FlaskClient) -> None:
    token = token_of(client, "/condor/failures/1")

    press(client, "/condor/failures/1/mute", token, {"note": "<i>known</i>"})
    assert ">Declined</a>" not in client.get("/condor/failures").text
    muted = client.get("/condor/failures?muted=yes").text
    assert ">Declined</a>" in muted and "&lt;i&gt;known&lt;/i&gt;" in muted
    press(client, "/condor/failures/1/unmute", token)

    assert ">Declined</a>" in client.get("/condor/failures").text
    with manager_of(app).log.read() as connection:
        noted = connection.execute(select(audit).order_by(audit.c.id)).all()
    assert [(one.action, one.actor) for one in noted] == [(one, "dashboard 127.0.0.1") for one in ("mute", "unmute")]
    assert json.loads(noted[0].detail)["why"] == "<i>known</i>"


def test_a_note_that_is_too_long_is_refused_in_a_page(client: FlaskClient) -> None:
    token = token_of(client, "/condor/failures/1")

    answer = press(client, "/condor/failures/1/mute", token, {"note": "x" * 501})

    assert answer.status_code == 409 and "allowed are 500" in answer.text


def test_who_may_not_act_sees_no_button_and_is_refused(app: Flask, client: FlaskClient) -> None:
    token = token_of(client, "/condor/failures/1")
    allowed.intersection_update({"view"})

    page = client.get("/condor/failures/1").text

    assert "Retry all" not in page and "Mute" not in page
    for action in ("retry", "mute", "unmute"):
        assert press(client, f"/condor/failures/1/{action}", token).status_code == 403
    assert states(app).count("dead") == 6


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/condor/failures/99", 404),
        ("/condor/failures/99999999999999999999", 404),
        ("/condor/failures?order=<script>", 400),
        ("/condor/failures?cursor=bm8", 400),
        ("/condor/failures?cursor=WzEsMl0", 200),
        ("/condor/failures/1?cursor=WyJ4Il0", 400),
        ("/condor/failures?muted=perhaps", 400),
        ("/condor/failures?job=%00", 400),
        ("/condor/failures?error=" + "x" * 201, 400),
        ("/condor/failures?event=%27%20OR%201=1--", 200),
    ],
)
def test_wrong_input_is_told_in_a_page(client: FlaskClient, path: str, status: int) -> None:
    answer = client.get(path)

    assert answer.status_code == status and "<script>" not in answer.text.replace("<script src=", "")


def test_what_tells_payloads_apart_is_a_value_a_field_or_its_kind() -> None:
    bad = [{"a": 1, "b": None, "n": number} for number in range(10)]
    good = [{"a": "1", "n": number} for number in range(10)]

    found = {(one.path, one.value): (one.failed, one.succeeded) for one in compared(bad, good, 20).differences}

    assert found["payload.a", "is a number"] == (1.0, 0.0) and found["payload.a", '"1"'] == (0.0, 1.0)
    assert found["payload.b", "is null"] == (1.0, 0.0)
    assert not [path for path, _ in found if path == "payload.n"]
    assert compared([], good, 5).differences == [] == compared(bad, [], 5).differences
    assert compared([1], [2], 9).differences[0] == Difference("payload", "1", 1.0, 0.0)
    assert compared([[]], [{"x": [1]}], 9).failed == 1


def test_a_trace_folds_what_is_not_of_the_app_and_hides_secrets() -> None:
    text = (
        "ValueError: password='a b' x\nTraceback (most recent call last):\n"
        '  File "/x/site-packages/requests/api.py", line 1, in get\n    go()\n'
        '  File "/x/site-packages/urllib3/a.py", line 1, in do\n    go()\n    ^^^^\n'
        '  File "/srv/app/jobs.py", line 2, in job\n    api_key="k-1"\n'
        "ValueError: password='a b' x"
    )

    found = parts_of(Redaction(), text)

    assert [(part.is_folded, part.frames, part.packages) for part in found] == [
        (False, 1, ""),
        (True, 2, "requests, urllib3"),
        (False, 2, ""),
    ]
    assert (
        "a b" not in found[2].text
        and "k-1" not in found[2].text
        and "ValueError: password=[redacted] x" in found[2].text
    )
    assert parts_of(Redaction(), None) == [] == parts_of(Redaction(), "only a line")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("token=abc", "token=[redacted]"),
        ("ValueError: token=abc", "ValueError: token=[redacted]"),
        ("x: y: password: 'a b', z", "x: y: password: [redacted], z"),
        ('{"apiKey": "a,b", "id": 3}', '{"apiKey": [redacted], "id": 3}'),
        ("password : x, user=y", "password : [redacted], user=y"),
        ("https://h/?secret=1&a=2", "https://h/?secret=[redacted]&a=2"),
        ("discard=1 tokenizer", "discard=1 tokenizer"),
        ("a" * 5000 + "=" * 5000, "a" * 5000 + "=" * 5000),
    ],
)
def test_a_value_beside_a_secret_key_is_hidden_in_a_text(text: str, expected: str) -> None:
    assert Redaction().of_lines(text) == expected
