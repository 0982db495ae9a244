"""The screen Ingress: whether and from whom events are taken, what came, what was refused, and how to send one."""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask import Request
from flask.testing import FlaskClient
from flask_condor.edge_models import rejections
from flask_condor.ingress import tokens
from flask_condor.models import audit
from flask_condor.models import events
from sqlalchemy import insert
from sqlalchemy import select
from sqlalchemy import update

from tests.dashboard.apps import make_app
from tests.dashboard.apps import manager_of
from tests.dashboard.apps import press
from tests.dashboard.apps import token_of

allowed: set[str] = set()


def authorize(action: str, request: Request) -> bool:
    return action in allowed


@pytest.fixture
def app(database_url: str, tmp_path: Path) -> Iterator[Flask]:
    allowed.clear()
    allowed.update(("view", "tokens"))
    app = make_app(tmp_path, authorize=authorize, CONDOR_DATABASE_URL=database_url)
    yield app
    manager_of(app).log.engine.dispose()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def take(app: Flask, id: str, *, ago: float = 60.0, repeats: int = 0) -> None:
    """Write an event that came over HTTP."""
    receipt = {"digest": "0" * 64, "form": "simple", "sender": "shop", "address": "198.51.100.7", "headers": "{}"}
    event = {"id": id, "name": "user.registered", "payload": "1", "is_replayable": True, "is_orphan": False}
    event |= {"source": "http", "fired_at": time.time() - ago, "root_id": id, "path": "[]", "bus": "default"}
    with manager_of(app).log.begin() as connection:
        connection.execute(insert(events).values(**event, **receipt, repeats=repeats))


def refuse(app: Flask, status: int, rule: str, count: int, *, hours_ago: int = 0, **sample: object) -> None:
    """Write that requests were refused."""
    at = time.time() - 3600 * hours_ago
    row = {"start": int(at // 3600 * 3600), "status": status, "rule": rule, "count": count, "last_at": at}
    with manager_of(app).log.begin() as connection:
        connection.execute(insert(rejections).values(**row, sample=json.dumps(sample), bus="default"))


def rows_of(client: FlaskClient, query: str) -> list[dict[str, Any]]:
    found: Any = client.get(f"/condor/ingress?format=json&{query}").json
    rows: list[dict[str, Any]] = found["rows"]
    return rows


def test_while_nobody_may_send_the_page_says_how_to_let_them(client: FlaskClient) -> None:
    pages = {tab: client.get(f"/condor/ingress?tab={tab}").text for tab in ("received", "refused", "tokens", "send")}

    assert all("No events are taken over HTTP" in page for page in pages.values())
    assert all("CONDOR_TRIGGER_SECRETS" in page for page in pages.values())
    assert "No event came over HTTP in this time." in pages["received"] and "There is no token." in pages["tokens"]
    assert "No request was refused in this time." in pages["refused"]


def test_who_may_send_which_events_is_told(database_url: str, tmp_path: Path) -> None:
    closed = make_app(tmp_path / "closed", authorize=authorize, CONDOR_DATABASE_URL=database_url)
    allowed.add("view")
    with manager_of(closed).log.begin() as connection:
        tokens.create(connection, "shop", ["order.*"], actor="cli")
    settings: dict[str, Any] = {"CONDOR_TRIGGER_EVENTS": ["order.*"], "CONDOR_TRIGGER_STRICT": True}
    app = make_app(tmp_path / "taking", authorize=authorize, CONDOR_DATABASE_URL=database_url, **settings)

    page = unescape(app.test_client().get("/condor/ingress").text)

    assert "POST http://localhost/trigger" in page and "1 live token" in page and "No events are taken" not in page
    assert "<code>order.*</code>; refused when nobody listens" in page
    for one in (closed, app):
        manager_of(one).log.engine.dispose()


def test_in_debug_mode_it_is_open_to_this_machine_and_that_is_told(tmp_path: Path) -> None:
    app = make_app(tmp_path, debug=True)

    page = app.test_client().get("/condor/ingress").text

    assert "Open to whoever is at this machine, as the app is in debug mode and began with no secret" in page
    assert "this machine only" in page
    manager_of(app).log.engine.dispose()


def test_what_was_accepted_is_listed_the_newest_first_with_what_was_sent_again(app: Flask, client: FlaskClient) -> None:
    take(app, "old", ago=9000)
    take(app, "one", repeats=2)
    take(app, "new", ago=30)

    page = client.get("/condor/ingress").text

    assert [row["event_id"] for row in rows_of(client, "")] == ["new", "one"]
    assert [row["event_id"] for row in rows_of(client, "period=24h")] == ["new", "one", "old"]
    assert 'href="/condor/events/one"' in page and "198.51.100.7" in page
    assert re.findall(r'<p class="value">(.+?)</p>', page)[:2] == ["2", "2"]
    assert "1 events, answered alike" in page


def test_the_list_has_pages_without_a_gap(app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flask_condor.dashboard.pages.ingress.ROWS", 2)
    for number in range(5):
        take(app, f"event-{number}", ago=60)
    with manager_of(app).log.begin() as connection:
        connection.execute(update(events).values(fired_at=time.time() - 50))
    found: list[str] = []
    url: str | None = "/condor/ingress?period=15m"

    for _ in range(5):
        if url is None:
            break
        page = client.get(url).text
        found += re.findall(r'href="/condor/events/(event-\d)\?', page)
        following = re.search(r'<a href="([^"]+)" rel="next"', page)
        url = following[1].replace("&amp;", "&") if following else None

    assert found == [f"event-{number}" for number in range(5)][::-1] and url is None


def test_what_was_refused_is_counted_by_rule_with_the_last_one_redacted(app: Flask, client: FlaskClient) -> None:
    refuse(app, 401, "unidentified", 5, detail="who?")
    refuse(app, 422, "payload-invalid", 2, hours_ago=1, detail="old", token="hunter2")
    refuse(app, 422, "payload-invalid", 6, hours_ago=2, detail="older")
    refuse(app, 413, "too-large", 1, hours_ago=48)

    page = client.get("/condor/ingress?tab=refused&period=24h").text
    rows = rows_of(client, "tab=refused&period=24h")

    assert [(row["status"], row["rule"], row["count"]) for row in rows] == [
        (422, "payload-invalid", 8),
        (401, "unidentified", 5),
    ]
    assert rows[0]["sample"] == {"detail": "old", "token": "[redacted]"} and "hunter2" not in page and "who?" in page
    assert re.findall(r'<p class="value">(.+?)</p>', page)[2:] == ["13", "5"]


def test_tokens_are_listed_and_one_is_revoked_and_audited(app: Flask, client: FlaskClient) -> None:
    with manager_of(app).log.begin() as connection:
        made = tokens.create(connection, "shop", ["order.*"], expires_in=90.0, actor="cli")
        tokens.create(connection, "other", actor="cli")
    token = token_of(client, "/condor/ingress?tab=tokens")

    page = client.get("/condor/ingress?tab=tokens").text
    answer = press(client, "/condor/ingress/tokens/revoke", token, {"name": "shop"})

    assert answer.status_code == 303 and made.token not in page and "order.*" in page
    assert {row["name"]: row["state"] for row in rows_of(client, "tab=tokens")} == {"other": "live", "shop": "revoked"}
    with manager_of(app).log.read() as connection:
        last = connection.execute(select(audit).order_by(audit.c.id.desc())).first()
    assert last is not None and (last.action, last.actor) == ("token-revoke", "dashboard 127.0.0.1")


def test_who_may_not_do_so_makes_and_revokes_no_token(app: Flask, client: FlaskClient) -> None:
    with manager_of(app).log.begin() as connection:
        tokens.create(connection, "shop", actor="cli")
    token = token_of(client, "/condor/ingress?tab=tokens")
    allowed.discard("tokens")

    answers = [
        press(client, "/condor/ingress/tokens/revoke", token, {"name": "shop"}),
        press(client, "/condor/ingress/tokens/create", token, {"name": "other"}),
    ]
    page = client.get("/condor/ingress?tab=tokens").text

    assert [answer.status_code for answer in answers] == [403, 403]
    assert [(row["name"], row["state"]) for row in rows_of(client, "tab=tokens")] == [("shop", "live")]
    assert "Revoke" not in page.replace("Revoked</th>", "") and "tokens/create" not in page


def test_a_token_is_made_shown_once_and_audited(app: Flask, client: FlaskClient) -> None:
    form = token_of(client, "/condor/ingress?tab=tokens")
    fields = {"name": "shop", "events": "order.*, user.added", "days": "90"}

    answer = press(client, "/condor/ingress/tokens/create", form, fields)
    page = client.get("/condor/ingress?tab=tokens").text

    (made,) = re.findall(r"condor_[\w-]{43}", answer.text)
    assert answer.status_code == 200 and answer.headers["Cache-Control"] == "no-store"
    assert made not in page + client.get("/condor/system/audit").text
    with manager_of(app).log.begin() as connection:
        found = tokens.find(connection, tokens.digest_of(made))
        last = connection.execute(select(audit).order_by(audit.c.id.desc())).first()
    assert found is not None
    token, _ = found
    assert token.name == "shop" and token.scopes == ("order.*", "user.added")
    assert token.expires_at is not None and round((token.expires_at - token.created_at) / 86_400) == 90
    assert last is not None and (last.action, last.actor) == ("token-create", "dashboard 127.0.0.1")
    assert made not in last.detail


def test_without_events_and_days_a_token_may_send_all_for_ever(client: FlaskClient) -> None:
    form = token_of(client, "/condor/ingress?tab=tokens")

    answer = press(client, "/condor/ingress/tokens/create", form, {"name": "shop", "events": "", "days": ""})

    (row,) = rows_of(client, "tab=tokens")
    assert (row["events"], row["expires"]) == (["*"], None) and "<dd>never</dd>" in answer.text


def test_the_first_token_says_that_a_restart_is_needed_and_a_later_one_does_not(
    database_url: str, tmp_path: Path, app: Flask, client: FlaskClient
) -> None:
    first = press(
        client, "/condor/ingress/tokens/create", token_of(client, "/condor/ingress?tab=tokens"), {"name": "first"}
    )
    restarted = make_app(tmp_path / "again", authorize=authorize, CONDOR_DATABASE_URL=database_url)
    again = restarted.test_client()
    second = press(
        again, "/condor/ingress/tokens/create", token_of(again, "/condor/ingress?tab=tokens"), {"name": "second"}
    )

    assert "restart the app" in first.text and "restart the app" not in second.text
    manager_of(restarted).log.engine.dispose()


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"name": "shop"}, "a token named 'shop' is live. Revoke it first"),
        ({"name": "<b>"}, "'<b>' is no name of a token"),
        ({"name": ""}, "'' is no name of a token"),
        ({"name": "other", "events": "x" * 300}, "is no pattern of event names"),
        ({"name": "other", "days": "0"}, "'0' is no number of days from 1 to 3,650."),
        ({"name": "other", "days": "9" * 30}, "is no number of days"),
        ({"name": "other", "days": "90d"}, "'90d' is no number of days"),
    ],
)
def test_a_token_that_cannot_be_is_refused_in_a_sentence(
    app: Flask, client: FlaskClient, fields: dict[str, str], told: str
) -> None:
    with manager_of(app).log.begin() as connection:
        tokens.create(connection, "shop", actor="cli")

    answer = press(client, "/condor/ingress/tokens/create", token_of(client, "/condor/ingress?tab=tokens"), fields)

    assert answer.status_code == 409 and told in unescape(answer.text) and "<b>&#39;" not in answer.text
    assert [row["name"] for row in rows_of(client, "tab=tokens")] == ["shop"]


def test_a_token_that_is_not_there_is_told_in_a_page(app: Flask, client: FlaskClient) -> None:
    with manager_of(app).log.begin() as connection:
        tokens.create(connection, "shop", actor="cli")
    token = token_of(client, "/condor/ingress?tab=tokens")

    answer = press(client, "/condor/ingress/tokens/revoke", token, {"name": "<b>"})

    assert answer.status_code == 409 and "no live token is named" in answer.text and "<b>&" not in answer.text


def test_the_commands_are_ones_that_the_trigger_takes(tmp_path: Path) -> None:
    app = make_app(tmp_path, debug=True)
    client = app.test_client()
    page = unescape(client.get("/condor/ingress?tab=send").text)

    for command in re.findall(r"<code>(curl .+?)</code>", page, re.DOTALL):
        words = shlex.split(command.replace("\\\n", ""))
        kind = next(word for word in words if word.startswith("Content-Type: "))
        answer = client.post("/trigger", data=words[-1], headers={"Content-Type": kind.partition(" ")[2]})
        assert answer.status_code in (200, 202), answer.text

    assert [row["form"] for row in rows_of(client, "")] == ["cloudevents-structured", "simple"]
    assert {row["event"] for row in rows_of(client, "")} == {"user.registered"}
    manager_of(app).log.engine.dispose()


@pytest.mark.parametrize("query", ["tab=<script>", "tab=send&event=nope", "cursor=xx", "format=xml", "period=1y"])
def test_wrong_input_is_told_in_a_page(client: FlaskClient, query: str) -> None:
    answer = client.get(f"/condor/ingress?{query}")

    assert answer.status_code == 400 and "<script>" not in answer.text


@pytest.mark.parametrize("tab", ["received", "refused", "tokens"])
def test_each_list_is_exported(app: Flask, client: FlaskClient, tab: str) -> None:
    take(app, "=1+1")
    refuse(app, 401, "unidentified", 5)
    with manager_of(app).log.begin() as connection:
        tokens.create(connection, "shop", actor="cli")

    csv = client.get(f"/condor/ingress?tab={tab}&format=csv")

    assert csv.mimetype == "text/csv" and csv.text.count("\n") == 2
    assert tab != "received" or "'=1+1" in csv.text
