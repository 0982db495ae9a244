"""CloudEvents 1.0: read strictly in each mode; the SDK of the CloudEvents project is understood, and understands us."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cloudevents.core.bindings import http
from cloudevents.core.v1.event import CloudEvent
from flask import Flask
from flask_condor import Event
from flask_condor.cloudevent import MEDIA_TYPE
from flask_condor.cloudevent import cloudevent_of
from flask_condor.event import Family
from flask_condor.event import Origin
from flask_condor.event import originate
from flask_condor.ingress.bodies import BATCH
from flask_condor.ingress.bodies import read_body
from flask_condor.ingress.bodies import read_incoming
from flask_condor.ingress.incoming import Incoming
from flask_condor.ingress.rejection import Rejected

MINIMAL = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "order.paid"}
BINARY = {f"ce-{name}": value for name, value in MINIMAL.items()}


def read(body: bytes, headers: dict[str, str]) -> list[Incoming]:
    with Flask("test").test_request_context("/", method="POST", data=body, headers=headers) as context:
        return read_incoming(context.request, read_body(context.request))


def read_structured(event: object) -> Incoming:
    (incoming,) = read(json.dumps(event).encode(), {"Content-Type": MEDIA_TYPE})
    return incoming


def read_batch(events: object) -> list[Incoming]:
    return read(json.dumps(events).encode(), {"Content-Type": BATCH})


def read_binary(body: bytes = b"", /, **changes: str | None) -> Incoming:
    headers = {"Content-Type": "application/json"} | BINARY | {f"ce-{name}": value for name, value in changes.items()}
    (incoming,) = read(body, {name: value for name, value in headers.items() if value is not None})
    return incoming


def refusal_of(event: object) -> tuple[int, str]:
    with pytest.raises(Rejected) as caught:
        read_structured(event)
    return caught.value.status, caught.value.rule


def test_a_structured_event_has_the_name_of_its_type_and_the_payload_of_its_data() -> None:
    incoming = read_structured(MINIMAL | {"data": {"total": 12.5}})

    assert (incoming.name, incoming.payload) == ("order.paid", {"total": 12.5})
    assert (incoming.form, incoming.key) == ("cloudevents-structured", "/shop 1")


def test_each_mode_makes_the_same_event_of_the_same_cloudevent() -> None:
    event = MINIMAL | {"data": [1, 2]}

    structured, binary, batch = read_structured(event), read_binary(b"[1, 2]"), read_batch([event])[0]

    assert (structured.id, structured.digest) == (binary.id, binary.digest) == (batch.id, batch.digest)
    assert (binary.form, batch.form) == ("cloudevents-binary", "cloudevents-batch")


def test_each_mode_keeps_the_subject_and_none_is_no_subject() -> None:
    event = MINIMAL | {"subject": "orders/größer"}

    found = [read_structured(event), read_binary(subject="orders/gr%C3%B6%C3%9Fer"), read_batch([event])[0]]

    assert [one.subject for one in found] == ["orders/größer"] * 3
    assert read_structured(MINIMAL).subject is None and read_binary().subject is None


def test_the_same_event_with_another_subject_is_the_same() -> None:
    here, there = (read_structured(MINIMAL | {"subject": subject}) for subject in ("orders/1", "orders/2"))

    assert (here.id, here.digest) == (there.id, there.digest)


def test_the_id_of_an_event_is_another_for_another_source() -> None:
    here = read_structured(MINIMAL)

    assert read_structured(MINIMAL).id == here.id
    assert read_structured(MINIMAL | {"source": "/other"}).id != here.id
    assert read_structured(MINIMAL | {"id": "2"}).id != here.id


@pytest.mark.parametrize("event", [MINIMAL, MINIMAL | {"data": None}])
def test_no_data_is_a_payload_of_none(event: dict[str, Any]) -> None:
    assert read_structured(event).payload is None


@pytest.mark.parametrize(
    "more",
    [
        {"time": "2026-11-21T14:45:46.5Z", "subject": "order 12", "dataschema": "https://example.org/o.json"},
        {"time": "2026-11-21T14:45:46+01:00", "traceparent": "00-ab-cd-01", "sequence": 7, "sampled": True},
        {"datacontenttype": "Application/vnd.shop+JSON; charset=utf-8"},
        {"subject": None, "anextension": None},
        {"id": "\u00e9 \u732b", "type": "A.b", "source": "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66"},
    ],
)
def test_what_the_specification_allows_is_taken(more: dict[str, Any]) -> None:
    assert read_structured(MINIMAL | more).form == "cloudevents-structured"


@pytest.mark.parametrize("name", list(MINIMAL))
@pytest.mark.parametrize("value", [None, "", 7, True, ["1"], {"a": 1}, "a\nb", "1\n", "x" * 3000])
def test_an_attribute_that_must_be_there_and_is_none_is_refused(name: str, value: object) -> None:
    assert refusal_of(MINIMAL | {name: value}) == (400, "attribute-invalid")


@pytest.mark.parametrize(
    "more",
    [
        {"specversion": "0.3"},
        {"source": "no uri"},
        {"source": "/100%"},
        {"source": "/\u00e9"},
        {"time": "yesterday"},
        {"time": "2026-11-21T14:45:46"},
        {"time": "2026-02-30T14:45:46Z"},
        {"dataschema": "/relative"},
        {"subject": ""},
        {"subject": "a\u0007"},
        {"subject": "a\n"},
        {"subject": "x" * 2049},
        {"dataSchema": "https://example.org"},
        {"my_extension": "x"},
        {"extension": {"a": 1}},
        {"extension": "a\n"},
        {"time": "2026-11-21T14:45:46Z\n"},
        {"source": "/shop\n"},
        {"extension": 1.5},
    ],
)
def test_what_the_specification_does_not_allow_is_refused(more: dict[str, Any]) -> None:
    assert refusal_of(MINIMAL | more) == (400, "attribute-invalid")


@pytest.mark.parametrize("event", [None, [], [MINIMAL], "x", 7])
def test_a_body_that_is_no_cloudevent_is_refused(event: object) -> None:
    assert refusal_of(event) == (400, "cloudevent-invalid")


def test_data_that_is_not_json_is_refused_and_said_why() -> None:
    assert refusal_of(MINIMAL | {"data_base64": "AA=="}) == (400, "data-base64")
    assert refusal_of(MINIMAL | {"datacontenttype": "text/plain", "data": "x"}) == (415, "data-not-json")
    assert refusal_of(MINIMAL | {"datacontenttype": "application/jsonp"}) == (415, "data-not-json")


def test_headers_are_percent_decoded_once_and_quotes_taken_off() -> None:
    assert read_binary(type="caf%C3%A9").name == "caf\u00e9"
    assert read_binary(type="100%2525").name == "100%25"
    assert read_binary(type='"a b\\"c"').name == 'a b"c'


@pytest.mark.parametrize("value", ["%FF", "%ED%A0%80", "caf\u00e9"])
def test_a_header_that_is_not_percent_encoded_utf_8_is_refused(value: str) -> None:
    with pytest.raises(Rejected) as caught:
        read_binary(type=value)

    assert (caught.value.status, caught.value.rule) == (400, "attribute-invalid")


@pytest.mark.parametrize(
    "changes", [{"id": None}, {"specversion": None}, {"id": "a%0Ab"}, {"data": "x"}, {"my-x": "1"}]
)
def test_a_binary_event_with_an_attribute_that_is_none_is_refused(changes: dict[str, str | None]) -> None:
    with pytest.raises(Rejected) as caught:
        read_binary(**changes)

    assert (caught.value.status, caught.value.rule) == (400, "attribute-invalid")


def test_a_binary_event_without_a_body_needs_no_content_type() -> None:
    assert read(b"", BINARY)[0].payload is None


def test_the_body_of_a_binary_event_is_strict_json_of_a_type_that_says_so() -> None:
    for body, kind, rule in ((b"{", "application/json", "malformed"), (b"x", "text/plain", "data-not-json")):
        with pytest.raises(Rejected) as caught:
            read(body, BINARY | {"Content-Type": kind})
        assert caught.value.rule == rule


def test_a_batch_is_read_in_its_order() -> None:
    events = [MINIMAL | {"id": str(number), "data": number} for number in range(100)]

    assert [incoming.payload for incoming in read_batch(events)] == list(range(100))


def test_each_event_of_a_batch_may_have_as_many_keys_as_a_document() -> None:
    events = [MINIMAL | {"data": {str(key): 0 for key in range(995)}}] * 3

    assert len(read_batch(events)) == 3


@pytest.mark.parametrize(
    ("events", "status", "rule"),
    [
        ({}, 400, "batch-invalid"),
        (MINIMAL, 400, "batch-invalid"),
        ([MINIMAL] * 101, 413, "batch-too-large"),
        ([MINIMAL, 7], 400, "cloudevent-invalid"),
        ([MINIMAL, MINIMAL | {"id": ""}], 400, "attribute-invalid"),
        ([MINIMAL, MINIMAL | {"data": {str(key): 0 for key in range(996)}}], 400, "too-many-keys"),
    ],
)
def test_a_batch_that_is_none_is_refused_whole(events: object, status: int, rule: str) -> None:
    with pytest.raises(Rejected) as caught:
        read_batch(events)

    assert (caught.value.status, caught.value.rule) == (status, rule)


def test_the_refusal_of_a_batch_names_the_event_that_is_wrong() -> None:
    with pytest.raises(Rejected, match=r"^Event 2 of the batch: An attribute .* is missing .*`id`"):
        read_batch([MINIMAL, {"specversion": "1.0", "source": "/shop", "type": "t"}])


def test_a_refusal_repeats_nothing_long_of_the_body() -> None:
    for more in ({"x" * 100_000 + "_": "x"}, {"specversion": "x" * 100_000}, {"source": " " * 2000}):
        with pytest.raises(Rejected) as caught:
            read_structured(MINIMAL | more)
        assert len(caught.value.detail) < 300


@pytest.mark.parametrize("send", [http.to_structured_event, http.to_binary_event])
@pytest.mark.parametrize("data", [{"total": 12.5, "who": "\u732b"}, None])
def test_what_the_sdk_sends_is_understood(send: Any, data: Any) -> None:
    attributes = {"type": "order.paid", "source": "/shop", "id": "\u00e9 1", "subject": 'a "quoted" \u732b'}

    message = send(CloudEvent(attributes | {"datacontenttype": "application/json"}, data))
    (incoming,) = read(message.body, message.headers)

    assert (incoming.name, incoming.payload, incoming.key) == ("order.paid", data, "/shop \u00e9 1")


def test_what_we_send_is_understood_by_the_sdk() -> None:
    event = Event("order.paid", {"total": 12.5})

    body = json.dumps(cloudevent_of(event, "/shop")).encode()
    read_by_sdk = http.from_http_event(http.HTTPMessage({"content-type": MEDIA_TYPE}, body))

    assert (read_by_sdk.get_type(), read_by_sdk.get_id()) == ("order.paid", event.id)
    assert (read_by_sdk.get_source(), read_by_sdk.get_time()) == ("/shop", event.fired_at)
    assert read_by_sdk.get_data() == {"total": 12.5}


def test_what_we_send_carries_a_subject_on() -> None:
    event = Event("order.paid")
    originate(event, Origin("http", None, (), Family(), subject="orders/7"))

    assert read_structured(cloudevent_of(event, "/shop")).subject == "orders/7"
    assert "subject" not in cloudevent_of(Event("order.paid"), "/shop")


def test_what_we_send_is_understood_by_ourselves() -> None:
    event = Event("order.paid", {"total": 12.5})

    incoming = read_structured(cloudevent_of(event, "https://example.org/shop"))

    assert (incoming.name, incoming.payload) == ("order.paid", {"total": 12.5})
    assert incoming.key == f"https://example.org/shop {event.id}"
