"""Redaction: what is hidden of payloads, where they are shown, and where they are stored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor.errors import OperationRefused
from flask_condor.history import Stored
from flask_condor.history import event_of
from flask_condor.redaction import HIDDEN
from flask_condor.redaction import Redaction
from flask_condor.retry import Retry
from flask_condor.testing.worker import run_queue

from tests.commands import printed
from tests.commands import printed_json
from tests.commands import refusal
from tests.commands import run

SECRET = {"user": "ada", "password": "hunter2"}
KEPT = {"user": "ada", "password": HIDDEN}


@pytest.mark.parametrize(
    "key", ["card", "cardNumber", "card-number", "CARD_NUMBER", "cards", "X-Api-Key", "apikey", "APIKey", "private key"]
)
def test_a_key_that_holds_a_secret_word_is_hidden(key: str) -> None:
    assert Redaction().hides(key)


@pytest.mark.parametrize("key", ["discard", "cardinal", "tokenize", "pinned", "key", "", "ü", "_"])
def test_a_key_that_only_looks_like_one_is_not(key: str) -> None:
    assert not Redaction().hides(key)


def test_values_are_hidden_however_deep_and_whatever_they_are() -> None:
    value = {"a": [{"token": {"b": 1}}, ({"pin": None},)], "session": [1], "b": 2, "text": "password"}

    hidden = {"a": [{"token": HIDDEN}, [{"pin": HIDDEN}]], "session": HIDDEN, "b": 2, "text": "password"}
    assert Redaction().of(value) == hidden


def test_what_is_nested_too_deep_is_hidden_and_the_value_is_left_as_it_was() -> None:
    value: Any = {"password": 1}
    for _ in range(200):
        value = [value]

    assert HIDDEN in json.dumps(Redaction().of(value)) and '{"password": 1}' in json.dumps(value)


def test_keys_can_be_chosen_and_none_hides_nothing() -> None:
    assert Redaction(["taxNumber"]).of({"tax-numbers": 1, "password": 2}) == {"tax-numbers": HIDDEN, "password": 2}
    assert Redaction(["", "_"]).of(SECRET) == SECRET


@pytest.mark.parametrize("text", ["{'password': 'x'}", "User(token='x')", '{"api_key" : 1}'])
def test_a_text_that_names_a_secret_is_hidden_whole(text: str) -> None:
    assert Redaction().of_text(text) == HIDDEN


def test_a_text_that_names_none_is_left() -> None:
    assert Redaction().of_text("<Token of ada> at 12:30, discard=1") == "<Token of ada> at 12:30, discard=1"


def job(event: Event[Any], ctx: Context) -> object:
    return {"token": "t0k", "sent": True}


def other(event: Event[Any], ctx: Context) -> None:
    pass


@pytest.fixture
def manager(durable_manager: EventsManager) -> EventsManager:
    durable_manager.register("user-registered", job, run="queued")
    return durable_manager


@pytest.fixture
def strict(database_url: str) -> Iterator[EventsManager]:
    """The manager of an app that does not store secrets."""
    app = Flask("strict")
    app.testing = True
    app.config |= {"CONDOR_DATABASE_URL": database_url, "CONDOR_REDACT_STORED": True}
    Condor(app)
    manager: EventsManager = app.extensions["condor"]
    manager.register("user-registered", job, other, run="queued")
    manager.register("changed", other)
    yield manager
    manager.log.engine.dispose()


def stored(manager: EventsManager, id: str) -> Stored:
    with manager.log.read() as connection:
        event = event_of(connection, id)
    assert event is not None
    return event


def test_show_hides_the_secrets_of_a_payload_and_of_a_result(manager: EventsManager) -> None:
    event = manager.fire(Event("user-registered", SECRET))
    run_all(manager)

    said = printed(manager, "show", event.id) + printed(manager, "show", event.id, "--json")
    (told,) = printed_json(manager, "show", event.id)

    assert "hunter2" not in said and "t0k" not in said
    assert told["payload"] == KEPT and told["deliveries"][0]["result"] == {"token": HIDDEN, "sent": True}
    assert "hunter2" in stored(manager, event.id).payload and not stored(manager, event.id).is_redacted


def test_show_hides_a_payload_that_was_no_json_where_it_names_a_secret(manager: EventsManager) -> None:
    manager.register("odd", other)
    event = manager.fire(Event("odd", SECRET | {"of": object()}))
    assert manager.queueing.recorder.flush(60)

    assert HIDDEN in printed(manager, "show", event.id) and "hunter2" not in printed(manager, "show", event.id)
    assert "hunter2" not in refusal(manager, "replay", event.id)


def run_all(manager: EventsManager) -> None:
    run_queue(manager, check=False)


def test_an_event_without_queued_jobs_is_stored_without_its_secrets(strict: EventsManager) -> None:
    event = strict.fire(Event("changed", SECRET))
    odd = strict.fire(Event("changed", SECRET | {"of": object()}))
    orphan = strict.emit("nobody-listens", SECRET)
    plain = strict.fire(Event("changed", {"user": "ada"}))
    assert strict.queueing.recorder.flush(60)

    assert json.loads(stored(strict, event.id).payload) == KEPT == json.loads(stored(strict, orphan.id).payload)
    assert json.loads(stored(strict, odd.id).payload) == HIDDEN
    assert stored(strict, event.id).is_redacted and not stored(strict, plain.id).is_redacted


def test_a_queued_event_keeps_its_secrets_until_its_last_job_is_done(strict: EventsManager) -> None:
    event = strict.fire(Event("user-registered", SECRET))
    plain = strict.fire(Event("user-registered", {"user": "ada"}))
    assert "hunter2" in stored(strict, event.id).payload

    run_all(strict)

    assert json.loads(stored(strict, event.id).payload) == KEPT and stored(strict, event.id).is_redacted
    assert not stored(strict, plain.id).is_redacted


def test_a_cancelled_event_keeps_none_and_one_that_is_pending_in_part_all(strict: EventsManager) -> None:
    event = strict.fire(Event("user-registered", SECRET))

    strict.cancel(1)
    assert "hunter2" in stored(strict, event.id).payload
    strict.cancel(2)

    assert "hunter2" not in stored(strict, event.id).payload


def test_a_redacted_event_is_neither_replayed_nor_retried_and_the_refusal_says_why(strict: EventsManager) -> None:
    event = strict.fire(Event("user-registered", SECRET))
    strict.cancel(event.id)

    for refused in (lambda: strict.replay(event.id), lambda: strict.retry(1)):
        with pytest.raises(OperationRefused, match="secrets in its payload were not kept .CONDOR_REDACT_STORED."):
            refused()
    assert "1 are left out: their payload was no JSON, or was redacted" in no_replays(strict)


def no_replays(manager: EventsManager) -> str:
    return run(manager, "replay", "--event", "user-registered", "--since", "1h", "--yes").stderr


def failing(event: Event[Any], ctx: Context) -> None:
    raise ValueError("no")


def test_a_dead_event_keeps_its_secrets_so_that_it_can_be_retried(strict: EventsManager) -> None:
    strict.register("failing", failing, run="queued", retry=Retry(max_attempts=1))
    event = strict.fire(Event("failing", SECRET))

    run_all(strict)

    assert "hunter2" in stored(strict, event.id).payload and strict.retry(event.id) == 1
