"""Who sends: a request is let in by a token or signature alone, and turned away without a word about what was wrong."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask import request
from flask_condor import Condor
from flask_condor import EventsManager
from flask_condor.config import Config
from flask_condor.edge_models import tokens
from flask_condor.ingress.rejection import Rejected
from flask_condor.ingress.sending import Sender
from flask_condor.ingress.sending import check_name
from flask_condor.ingress.sending import identify
from flask_condor.ingress.sending import matches
from flask_condor.ingress.tokens import create
from flask_condor.ingress.tokens import revoke
from flask_condor.signature import sign
from sqlalchemy import select
from sqlalchemy import text

OLD, NEW = "whsec_" + "b2xk" * 8, "whsec_" + "bmV3" * 8
BODY = b'{"event":"order.paid","payload":{}}'


def app_with(url: str, *secrets: str) -> EventsManager:
    app = Flask("receiver")
    app.config.update(CONDOR_DATABASE_URL=url, CONDOR_TRIGGER_SECRETS=secrets)
    Condor(app)
    manager: EventsManager = app.extensions["condor"]
    return manager


@pytest.fixture
def manager(database_url: str) -> Any:
    manager = app_with(database_url, OLD, NEW)
    yield manager
    manager.log.engine.dispose()


def made(manager: EventsManager, *scopes: str) -> str:
    with manager.log.begin() as connection:
        return create(connection, "shop", scopes or ["*"], actor="me").token


def sender(manager: EventsManager, headers: dict[str, str], body: bytes = BODY, **options: Any) -> Sender:
    here = {"environ_base": {"REMOTE_ADDR": "127.0.0.1"}}
    with manager.app.test_request_context("/trigger", method="POST", headers=headers, data=body, **here | options):
        return identify(manager, request, body)


def refusal(manager: EventsManager, headers: dict[str, str], body: bytes = BODY, **options: Any) -> Rejected:
    with pytest.raises(Rejected) as refused:
        sender(manager, headers, body, **options)
    return refused.value


def signed(secret: str = NEW, body: bytes = BODY, **changed: str) -> dict[str, str]:
    return sign(secret, "msg_1", time.time(), body) | {name.replace("_", "-"): value for name, value in changed.items()}


def test_a_token_is_a_sender_with_its_name_and_patterns(manager: EventsManager) -> None:
    token = made(manager, "order.*")

    for scheme in ("Bearer", "bearer", "BEARER "):
        found = sender(manager, {"Authorization": f"{scheme} {token}"})
        assert found == Sender("shop", ("order.*",), "token")


def test_a_signature_by_either_secret_is_a_sender(manager: EventsManager) -> None:
    assert sender(manager, signed(OLD)) == Sender("CONDOR_TRIGGER_SECRETS[0]", ("*",), "signature")
    assert sender(manager, signed(NEW)) == Sender("CONDOR_TRIGGER_SECRETS[1]", ("*",), "signature")


WRONG: list[dict[str, str]] = [
    {},
    {"Authorization": ""},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer "},
    {"Authorization": "Basic c2hvcDpzaG9w"},
    {"Authorization": "Bearer condor_"},
    {"Authorization": f"Bearer condor_{'A' * 43}"},
    {"Authorization": "Bearer condor_é" + "A" * 42},
    {"Authorization": "Bearer " + "A" * 100_000},
    signed(webhook_signature="v1"),
    signed(webhook_signature="v1,***"),
    signed(webhook_signature="v1,é"),
    signed(webhook_signature=" ".join(["v1,bm8="] * 10_000)),
    signed(webhook_timestamp="nan"),
    signed(webhook_timestamp="0"),
    signed(webhook_id="é"),
    signed("whsec_" + "b3Ro" * 8),
    signed(body=b"{}"),
]


def test_whoever_is_not_known_is_answered_the_same_and_told_both_ways(manager: EventsManager) -> None:
    made(manager)
    with manager.log.begin() as connection:
        revoked = create(connection, "gone", actor="me").token
        revoke(connection, "gone", actor="me")

    refused = [refusal(manager, headers) for headers in [*WRONG, {"Authorization": f"Bearer {revoked}"}]]

    assert {(one.status, one.rule, one.detail) for one in refused} == {(401, "unidentified", refused[0].detail)}
    assert all(one.headers == {"WWW-Authenticate": "Bearer"} for one in refused)
    assert "Bearer" in refused[0].detail and "webhook-signature" in refused[0].detail


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({}, "neither `Authorization: Bearer` nor a webhook-signature"),
        ({"Authorization": "Bearer x"}, "is no token of `flask events token create`"),
        ({"Authorization": f"Bearer condor_{'x' * 43}"}, "was never made"),
        (signed(body=b"{}"), "by none of CONDOR_TRIGGER_SECRETS, is of other bytes"),
    ],
)
def test_whoever_runs_the_app_is_told_what_was_wrong(manager: EventsManager, headers: dict[str, str], why: str) -> None:
    refused = refusal(manager, headers)

    assert refused.why and why in refused.why
    assert why not in refused.detail


def test_whoever_runs_the_app_is_told_which_name_was_not_allowed_and_by_what() -> None:
    with pytest.raises(Rejected) as by_token:
        check_name(Sender("shop", ("order.*",), "token"), Config.read({}), "user.gone")
    with pytest.raises(Rejected) as by_setting:
        check_name(Sender("shop", ("*",), "token"), Config.read({"CONDOR_TRIGGER_EVENTS": ["order.*"]}), "user.gone")

    assert by_token.value.why == "shop has no pattern for 'user.gone': see `flask events token list`."
    assert by_setting.value.why == "CONDOR_TRIGGER_EVENTS has no pattern for 'user.gone'."
    assert by_token.value.detail == by_setting.value.detail


@pytest.mark.parametrize("body", [b"\xff", b"", b"[" * 100_000, b"\x00", BODY + b" "])
def test_any_body_but_the_signed_one_is_turned_away(manager: EventsManager, body: bytes) -> None:
    assert refusal(manager, signed(), body).status == 401


@pytest.mark.parametrize("header", ["Idempotency-Key", "ce-type", "CE-Id", "ce-source"])
def test_what_a_signature_does_not_cover_is_not_taken_from_a_signed_request(
    manager: EventsManager, header: str
) -> None:
    refused = refusal(manager, signed() | {header: "another"})

    assert (refused.status, refused.rule) == (400, "unsigned-header") and header.lower() in refused.detail.lower()
    assert sender(manager, signed() | {"Idempotency-Key": "msg_1"}).kind == "signature"


def test_while_tokens_cannot_be_looked_up_a_token_is_put_off_and_a_signature_still_good(
    tmp_path: Path, database_url: str
) -> None:
    manager = app_with(database_url, OLD)
    token = made(manager)
    with manager.log.begin() as connection:
        connection.execute(text("DROP TABLE condor_tokens"))

    refused = refusal(manager, {"Authorization": f"Bearer {token}"})

    assert (refused.status, refused.rule, refused.headers) == (503, "log-unavailable", {"Retry-After": "5"})
    assert sender(manager, signed(OLD)).kind == "signature"
    assert refusal(manager, {"Authorization": "Bearer x"}).status == 401
    manager.log.engine.dispose()


def test_the_use_of_a_token_is_noted(manager: EventsManager) -> None:
    token = made(manager)
    sender(manager, {"Authorization": f"Bearer {token}"})

    with manager.log.read() as connection:
        assert connection.scalar(select(tokens.c.last_used_at)) == pytest.approx(time.time(), abs=30)


def test_a_use_that_cannot_be_noted_refuses_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = app_with(f"sqlite:///{tmp_path / 'log.db'}", OLD)
    token = made(manager)
    with manager.log.begin() as connection:
        refusing = "CREATE TRIGGER refuse BEFORE UPDATE ON condor_tokens BEGIN SELECT raise(ABORT, 'no'); END"
        connection.execute(text(refusing))

    with caplog.at_level(logging.WARNING):
        assert sender(manager, {"Authorization": f"Bearer {token}"}).name == "shop"
        assert sender(manager, {"Authorization": f"Bearer {token}"}).name == "shop"

    assert [vars(one)["action"] for one in caplog.records] == ["token_use_unnoted"]
    manager.log.engine.dispose()


@pytest.mark.parametrize(
    ("pattern", "name", "is_like"),
    [
        ("*", "anything at all", True),
        ("order.*", "order.paid", True),
        ("order.*", "order.paid.twice", True),
        ("order.*", "order.", True),
        ("order.*", "order", False),
        ("order.*", "reorder.paid", False),
        ("order.*", "Order.paid", False),
        ("order.*", "order.a\nb", True),
        ("order.paid", "order.paid", True),
        ("order.paid", "order.paid\n", False),
        ("order.paid", "orderxpaid", False),
        ("*.paid", "order.paid", True),
        ("order.?", "order.x", False),
        ("order.?", "order.?", True),
        ("order.[ab]", "order.a", False),
        ("order.[ab]", "order.[ab]", True),
        ("*a*a*a*a*a*a*a*a*b", "a" * 255, False),
    ],
)
def test_a_pattern_has_stars_for_any_text_and_nothing_else(pattern: str, name: str, is_like: bool) -> None:
    assert matches(name, [pattern]) is is_like


@pytest.mark.parametrize(
    ("scopes", "allowed", "may"),
    [
        (("*",), None, True),
        (("order.*",), None, True),
        (("user.*", "order.paid"), None, True),
        (("user.*",), None, False),
        ((), None, False),
        (("*",), ("order.*",), True),
        (("*",), ("user.*",), False),
        (("*",), (), False),
        (("user.*",), ("order.*",), False),
    ],
)
def test_a_name_must_be_allowed_to_the_sender_and_by_the_app(
    scopes: tuple[str, ...], allowed: tuple[str, ...] | None, may: bool
) -> None:
    config = Config.read({"CONDOR_TRIGGER_EVENTS": allowed})
    check: Callable[[], None] = lambda: check_name(Sender("shop", scopes, "token"), config, "order.paid")  # noqa: E731  # called twice

    if may:
        check()
        return
    with pytest.raises(Rejected) as refused:
        check()
    assert (refused.value.status, refused.value.rule) == (403, "not-allowed")


def debug_manager(tmp_path: Path) -> EventsManager:
    app = Flask("debugged", instance_path=str(tmp_path))
    app.debug = True
    Condor(app)
    manager: EventsManager = app.extensions["condor"]
    return manager


def test_in_debug_mode_who_is_at_this_machine_may_send_all(tmp_path: Path) -> None:
    manager = debug_manager(tmp_path)

    assert sender(manager, {}) == Sender("local", ("*",), "open")
    assert sender(manager, {"Origin": "http://localhost"}).kind == "open"


@pytest.mark.parametrize(
    ("headers", "options"),
    [
        ({}, {"environ_base": {"REMOTE_ADDR": "192.0.2.7"}}),
        ({"X-Forwarded-For": "127.0.0.1"}, {}),
        ({"Host": "rebound.example"}, {}),
        ({"Origin": "https://evil.example"}, {}),
        ({"Origin": "null"}, {}),
        ({"Origin": "http://localhost:8000"}, {}),
        ({"Sec-Fetch-Site": "cross-site"}, {}),
    ],
)
def test_nobody_else_is_told_that_there_is_anything(
    tmp_path: Path, headers: dict[str, str], options: dict[str, Any]
) -> None:
    assert refusal(debug_manager(tmp_path), headers, **options).status == 404


def test_once_it_is_not_in_debug_mode_any_more_nobody_may_send(tmp_path: Path) -> None:
    manager = debug_manager(tmp_path)
    manager.app.debug = False

    assert refusal(manager, {}).status == 404
