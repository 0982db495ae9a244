"""The simple form of an incoming event, as on the Trigger.dev page: what is read of it, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask_condor.ingress.incoming import Incoming
from flask_condor.ingress.rejection import Rejected
from flask_condor.ingress.simple import read_simple
from werkzeug.datastructures import Headers


def read(body: object, is_signed: bool = False, **headers: str) -> Incoming:
    sent = Headers([(name.replace("_", "-"), value) for name, value in headers.items()])
    return read_simple(sent, json.dumps(body).encode(), is_signed=is_signed)


def refusal(body: object, is_signed: bool = False, **headers: str) -> Rejected:
    with pytest.raises(Rejected) as caught:
        read(body, is_signed, **headers)
    return caught.value


def test_a_name_and_a_payload_are_an_event_without_an_id() -> None:
    incoming = read({"event": "test.event", "payload": {"message": "hi"}})

    assert (incoming.name, incoming.payload, incoming.form) == ("test.event", {"message": "hi"}, "simple")
    assert (incoming.id, incoming.key, incoming.delay) == (None, None, None)


def test_a_payload_that_is_not_sent_is_none() -> None:
    assert read({"event": "test.event"}).payload is None


def test_a_signed_cloudevent_is_not_taken_for_the_simple_form_when_its_type_was_altered() -> None:
    body = {"specversion": "1.0", "id": "1", "source": "/s", "type": "order.paid", "event": "order.lost"}

    assert (read(body).name, refusal(body, is_signed=True, webhook_id="m").rule) == ("order.lost", "form-unclear")


def test_keys_that_the_form_does_not_have_are_ignored() -> None:
    assert read({"event": "test.event", "source": "x"}) == read({"event": "test.event"})


@pytest.mark.parametrize(
    "body", [{}, None, [], "x", "", 123, False, {"payload": 1}, {"event": ""}, {"event": None}, {"event": 0}]
)
def test_a_body_without_an_event_lacks_its_fields_as_on_the_page(body: object) -> None:
    rejected = refusal(body)

    assert (rejected.status, rejected.rule, rejected.detail) == (400, "missing-fields", "Missing required fields")


@pytest.mark.parametrize("name", [7, True, ["a"], {"a": 1}, "x" * 256, "a\nb", "a\u2028b", "\x1b[2J"])
def test_a_name_that_is_none_is_refused(name: Any) -> None:
    rejected = refusal({"event": name})

    assert (rejected.status, rejected.rule) == (400, "name-invalid")


def test_the_id_of_the_body_comes_before_those_of_the_headers() -> None:
    headers = {"Idempotency_Key": "key", "webhook_id": "msg_1"}

    assert read({"event": "e", "id": "mine"}, True, **headers).id == "mine"
    assert read({"event": "e"}, True, **headers).id == "key"
    assert read({"event": "e"}, True, webhook_id="msg_1").id == "msg_1"


def test_a_webhook_id_that_nobody_signed_is_no_id() -> None:
    assert read({"event": "e"}, webhook_id="msg_1").id is None


def test_an_idempotency_key_may_be_quoted() -> None:
    assert read({"event": "e"}, Idempotency_Key='"8e03978e"').id == "8e03978e"


@pytest.mark.parametrize("id", ["", 5, "x" * 256, "a\nb"])
def test_an_id_that_is_none_is_refused(id: Any) -> None:
    rejected = refusal({"event": "e", "id": id})

    assert (rejected.status, rejected.rule) == (400, "id-invalid")


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_an_idempotency_key_that_is_no_id_is_refused(key: str) -> None:
    assert refusal({"event": "e"}, Idempotency_Key=key).rule == "id-invalid"


@pytest.mark.parametrize("delay", [0, 90, 1.5, {"hours": 24}, {"days": 1, "minutes": 30}])
def test_a_delay_is_kept_as_fire_takes_it(delay: Any) -> None:
    assert read({"event": "e", "delay": delay}).delay == delay


@pytest.mark.parametrize("delay", [-1, True, "24h", {}, {"weeks": 1}, {"hours": -1}, {"hours": "1"}, [1], 1e12])
def test_a_delay_that_is_none_is_refused_and_said_why(delay: Any) -> None:
    rejected = refusal({"event": "e", "delay": delay})

    assert (rejected.status, rejected.rule) == (400, "delay-invalid")
    assert rejected.detail.startswith(f"The delay is {json.dumps(delay)}: send seconds, or an object of days, hours,")
    assert "dict" not in rejected.detail and "timedelta" not in rejected.detail


def test_a_refusal_repeats_nothing_long_of_the_body() -> None:
    assert len(refusal({"event": "e", "delay": {"x" * 100_000: 1}}).detail) <= 200
    assert len(refusal({"event": "x" * 100_000}).detail) <= 200


def test_the_digest_is_the_same_whatever_the_order_of_keys_and_the_id() -> None:
    digest = read({"event": "e", "payload": {"a": 1, "b": {"c": 2, "d": 3}}, "id": "1"}).digest

    assert read({"payload": {"b": {"d": 3, "c": 2}, "a": 1}, "event": "e", "id": "2"}).digest == digest


@pytest.mark.parametrize("change", [{"event": "f"}, {"payload": {"a": 2}}, {"payload": [1]}, {"delay": 5}])
def test_the_digest_is_another_when_name_payload_or_delay_is(change: dict[str, Any]) -> None:
    body = {"event": "e", "payload": {"a": 1}}

    assert read(body | change).digest != read(body).digest
