"""A token that has ended lets nobody in, although it was known a moment ago: the log is asked as it stores."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask_condor import EventsManager
from flask_condor import travel
from flask_condor.background import WRITERS
from flask_condor.ingress import backlog
from flask_condor.ingress.rejections import Rejections
from flask_condor.ingress.tokens import create
from flask_condor.ingress.tokens import revoke
from sqlalchemy import text
from sqlalchemy.event import listen
from werkzeug.test import TestResponse

from tests.triggers import make_manager
from tests.triggers import post
from tests.triggers import rows

ORDER = {"event": "order.placed", "payload": 1}


@pytest.fixture
def manager(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[EventsManager]:
    monkeypatch.setattr(backlog, "BETWEEN_COUNTS", 1000.0)
    manager = make_manager(database_url, trigger_secrets=["whsec_" + "bmV3" * 8])
    yield manager
    manager.log.engine.dispose()


@pytest.fixture
def token(manager: EventsManager) -> str:
    with manager.log.begin() as connection:
        return create(connection, "shop", ["order.*"], expires_in=100, actor="me").token


def send(manager: EventsManager, token: str, body: Any = ORDER, kind: str = "application/json") -> TestResponse:
    return post(manager, body, kind=kind, Authorization=f"Bearer {token}")


def end(manager: EventsManager) -> None:
    with manager.log.begin() as connection:
        revoke(connection, "shop", actor="me")


def test_a_token_that_is_known_is_confirmed_in_the_transaction_that_stores(manager: EventsManager, token: str) -> None:
    begun: list[Any] = []
    send(manager, token)
    listen(manager.log.engine, "begin", begun.append)

    assert send(manager, token).status_code == 200
    assert len(begun) == 1


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (ORDER, "application/json"),
        ([], "application/cloudevents-batch+json"),
        (b"{", "application/json"),
        (b"{}", "application/json"),
        ({"event": "user.gone"}, "application/json"),
        (b"text", "text/plain"),
    ],
)
def test_from_the_moment_that_it_is_revoked_it_is_nobodys_whatever_is_sent(
    manager: EventsManager, token: str, body: Any, kind: str
) -> None:
    assert send(manager, token).status_code == 200
    end(manager)

    refused = send(manager, token, body, kind)

    assert (refused.status_code, refused.get_json()["rule"]) == (401, "unidentified")
    assert "shop" not in refused.text and refused.headers["WWW-Authenticate"] == "Bearer"
    assert len(rows(manager, "events")) == 1


def test_what_is_kept_of_the_refusal_tells_nothing_that_a_stranger_sent(manager: EventsManager, token: str) -> None:
    send(manager, token)
    end(manager)
    send(manager, token)
    for writer in list(WRITERS):
        if isinstance(writer, Rejections):
            writer.flush(60)

    (kept,) = rows(manager, "rejections")

    assert not {"sender", "event", "body"} & json.loads(kept["sample"]).keys()
    assert "shop, was revoked" in json.loads(kept["sample"])["detail"]


def test_once_it_is_refused_it_waits_for_no_writer(manager: EventsManager, token: str) -> None:
    send(manager, token)
    end(manager)
    send(manager, token)

    with manager.log.begin():
        assert send(manager, token).status_code == 401


@pytest.mark.parametrize(("how", "told"), [("revoked", "shop, was revoked"), ("expired", "shop, has expired")])
def test_the_log_tells_how_it_ended_and_the_answer_does_not(
    manager: EventsManager,
    token: str,
    how: str,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert send(manager, token).status_code == 200
    if how == "revoked":
        end(manager)
    else:
        monkeypatch.setattr(travel, "ahead", 200.0)

    refused = send(manager, token)

    assert refused.status_code == 401
    assert told in caplog.text and told not in refused.text


@pytest.mark.parametrize("body", [ORDER, b"{"])
def test_one_that_cannot_be_confirmed_is_put_off(manager: EventsManager, token: str, body: Any) -> None:
    send(manager, token)
    with manager.log.begin() as connection:
        connection.execute(text("DROP TABLE condor_tokens"))

    put_off = send(manager, token, body)

    assert (put_off.status_code, put_off.get_json()["rule"]) == (503, "log-unavailable")
    assert "token" in put_off.get_json()["detail"]
