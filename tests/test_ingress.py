"""The ingress: what is posted is answered with 2xx once it is stored, once for each id, and refused by name else."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventName
from flask_condor import EventsManager
from flask_condor.cloudevent import MEDIA_TYPE
from flask_condor.instrumentation.otel import instrument
from flask_condor.models import deliveries
from flask_condor.models import events
from flask_condor.plan import Plan
from flask_condor.prune import DAY
from flask_condor.prune import Prune
from flask_condor.prune import Retention
from flask_condor.webhook import body_of
from flask_condor.worker import Worker
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import update

from tests.commands import printed
from tests.commands import printed_json
from tests.triggers import ingress
from tests.triggers import make_manager
from tests.triggers import post
from tests.triggers import rows

ORDER = {"event": "order.placed", "payload": {"total": 12.5, "lines": [1, 2]}, "id": "order-1"}
BATCH = "application/cloudevents-batch+json"


def pack(event: Any, ctx: Any) -> None: ...


def bill(event: Any, ctx: Any) -> None: ...


def thank(event: Any, ctx: Any) -> None: ...


@pytest.fixture
def manager(database_url: str) -> Iterator[EventsManager]:
    with ingress(database_url) as manager:
        manager.register("order.placed", pack)
        manager.register("order.placed", bill, run="after_commit")
        manager.register("order.placed", thank, run="after_response")
        manager.register("order.placed", thank, run="queued", priority=3)
        yield manager


def cloud_event(id: str, name: str = "order.placed", data: Any = 1) -> dict[str, Any]:
    return {"specversion": "1.0", "id": id, "source": "/shop", "type": name, "data": data}


def test_the_simple_form_is_answered_with_the_stored_event(manager: EventsManager) -> None:
    response = post(manager, ORDER)

    assert (response.status_code, response.content_type) == (200, "application/json")
    assert response.json == {
        "success": True,
        "message": "Event order.placed accepted",
        "result": {"id": "order-1", "name": "order.placed", "payload": {"total": 12.5, "lines": [1, 2]}},
    }
    assert "Condor-Orphan" not in response.headers


def test_every_job_becomes_a_queued_delivery_whatever_its_run_word(manager: EventsManager) -> None:
    post(manager, ORDER)

    (event,) = rows(manager, "events")
    found = [(row["job"], row["run"], row["state"], row["priority"]) for row in rows(manager, "deliveries")]
    assert (event["id"], event["source"], event["is_orphan"]) == ("order-1", "http", False)
    assert found == [
        ("tests.test_ingress:pack", "queued", "pending", 0),
        ("tests.test_ingress:bill", "queued", "pending", 0),
        ("tests.test_ingress:thank", "queued", "pending", 3),
    ]


@pytest.mark.parametrize("body", [{}, None, [], "x", "", 123, {"payload": 1}, {"event": ""}])
def test_a_body_without_an_event_is_refused_as_on_the_page(manager: EventsManager, body: Any) -> None:
    response = post(manager, body)

    assert (response.status_code, response.json) == (400, {"error": "Missing required fields"})
    assert rows(manager, "events") == []


def test_other_methods_are_refused_with_those_that_are_allowed(manager: EventsManager) -> None:
    client = manager.app.test_client()

    answers = [client.open("/trigger", method=method) for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS")]

    assert {(answer.status_code, answer.headers["Allow"]) for answer in answers} == {(405, "POST")}


def test_what_nobody_listens_to_is_stored_and_flagged(manager: EventsManager) -> None:
    response = post(manager, {"event": "unheard.of"})

    assert response.status_code == 200
    assert set(response.get_json()) == {"success", "message", "result"}
    assert response.headers["Condor-Orphan"] == "true"
    assert [row["is_orphan"] for row in rows(manager, "events")] == [True]


def test_what_nobody_listens_to_is_refused_when_the_app_is_strict(database_url: str) -> None:
    with ingress(database_url, trigger_strict=True) as manager:
        manager.register("declared.only")
        answers = [post(manager, {"event": name}) for name in ("unheard.of", "declared.only")]

        assert [(answer.status_code, answer.get_json()["rule"]) for answer in answers] == [(422, "no-job")] * 2
        assert rows(manager, "events") == []


def test_names_that_are_not_allowed_are_refused(database_url: str) -> None:
    with ingress(database_url, trigger_events=["order.*"]) as manager:
        answers = [post(manager, {"event": name}).status_code for name in ("order.placed", "user.deleted", "order")]

        assert answers == [200, 403, 403]


@dataclass
class Account:
    name: str
    age: int
    password: int


def test_jobs_that_a_worker_could_not_tell_apart_put_off_the_sender_and_are_told_of(
    manager: EventsManager, caplog: pytest.LogCaptureFixture
) -> None:
    manager.register("order.lost", *[lambda event, ctx: None for _ in range(2)])

    response = post(manager, {"event": "order.lost"})

    assert (response.status_code, response.get_json()["rule"]) == (503, "job-not-findable")
    assert "two jobs of event 'order.lost' are both called" in caplog.text and "lambda" not in response.text
    assert rows(manager, "events") == []


def test_a_wrong_payload_is_refused_naming_every_field_and_no_secret(manager: EventsManager) -> None:
    manager.register(EventName("account.made", Account), pack)

    response = post(manager, {"event": "account.made", "payload": {"age": "old", "password": "hunter2"}})

    assert (response.status_code, response.get_json()["rule"]) == (422, "payload-invalid")
    detail = response.get_json()["detail"]
    assert "payload.name is missing" in detail and "payload.age is 'old': expected int" in detail
    assert "payload.password is '[redacted]': expected int" in detail and "hunter2" not in detail
    assert rows(manager, "events") == []


def test_a_typed_payload_is_answered_as_it_is_stored(manager: EventsManager) -> None:
    manager.register(EventName("account.made", Account), pack)

    answer = post(manager, {"event": "account.made", "payload": {"name": "a", "age": 3, "password": 1, "x": 1}})

    assert answer.get_json()["result"]["payload"] == {"name": "a", "age": 3, "password": 1}


def test_the_same_again_is_answered_the_same_and_nothing_more_is_stored(manager: EventsManager) -> None:
    again = {"payload": {"lines": [1, 2], "total": 12.5}, "id": "order-1", "event": "order.placed"}
    first = post(manager, ORDER)

    others = [post(manager, again), post(manager, {**again, "id": None}, Idempotency_Key='"order-1"')]

    assert [(one.status_code, one.data, one.headers) for one in others] == [(200, first.data, first.headers)] * 2
    assert len(rows(manager, "events")) == 1 and len(rows(manager, "deliveries")) == 3
    assert [row["repeats"] for row in rows(manager, "events")] == [2]


@pytest.mark.parametrize("other", [{"event": "user.made"}, {"payload": {"total": 12.6}}, {"delay": 5}])
def test_another_event_of_the_same_id_is_refused(manager: EventsManager, other: dict[str, Any]) -> None:
    post(manager, ORDER)

    response = post(manager, ORDER | other)

    assert (response.status_code, response.get_json()["rule"]) == (409, "id-taken")
    assert "of this id was accepted before, and it was another one" in response.get_json()["detail"]
    assert len(rows(manager, "deliveries")) == 3
    assert [row["repeats"] for row in rows(manager, "events")] == [0]


@pytest.mark.parametrize("name", ["order.sent", "user.made"])
def test_the_id_of_an_event_that_the_app_fired_itself_is_taken(manager: EventsManager, name: str) -> None:
    with manager.app.app_context():
        manager.emit(name, ORDER["payload"], id="order-1", delay=60)

    response = post(manager, ORDER | {"event": "order.sent"})

    assert (response.status_code, response.get_json()["rule"]) == (409, "id-taken")
    assert [row["repeats"] for row in rows(manager, "events")] == [None]


def test_an_id_of_another_app_that_shares_the_database_is_taken(database_url: str) -> None:
    with ingress(database_url, bus="one") as one, ingress(database_url, bus="other") as other:
        post(one, ORDER)

        response = post(other, ORDER)

        assert (response.status_code, response.get_json()["rule"]) == (409, "id-taken")


def test_of_many_copies_that_come_at_once_one_is_accepted_and_all_are_answered_alike(database_url: str) -> None:
    with ingress(database_url) as here, ingress(database_url) as there:
        for manager in (here, there):
            manager.register("order.placed", pack)
        with ThreadPoolExecutor(8) as pool:
            for number in range(10):
                order = ORDER | {"id": f"order-{number}"}
                answers = list(pool.map(lambda one, order=order: post(one, order), [here, there] * 4))
                assert {answer.status_code for answer in answers} == {200}
                assert len({answer.data for answer in answers}) == 1

        assert len(rows(here, "events")) == len(rows(here, "deliveries")) == 10
        assert [row["repeats"] for row in rows(here, "events")] == [7] * 10


def test_a_batch_is_answered_with_its_ids_and_repeated_as_one(manager: EventsManager) -> None:
    batch = [cloud_event("1"), cloud_event("2", "unheard.of"), cloud_event("1")]

    answers = [post(manager, batch, kind=BATCH) for _ in range(2)]

    ids = [answer.get_json()["ids"] for answer in answers]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert ids[0] == ids[1] and ids[0][0] == ids[0][2] != ids[0][1]
    assert len(rows(manager, "events")) == 2 and len(rows(manager, "deliveries")) == 3


def test_a_batch_of_no_events_is_accepted_and_stores_nothing(manager: EventsManager) -> None:
    response = post(manager, [], kind=BATCH)

    assert (response.status_code, response.json) == (202, {"ids": []})
    assert rows(manager, "events") == []


def test_a_batch_is_stored_whole_or_not_at_all(manager: EventsManager) -> None:
    post(manager, [cloud_event("2")], kind=BATCH)

    response = post(manager, [cloud_event("1"), cloud_event("2", data="another")], kind=BATCH)

    assert response.status_code == 409
    assert response.get_json()["detail"].startswith("Event 2 of the batch: An event of this id was accepted before")
    assert len(rows(manager, "events")) == 1


def test_what_a_batch_is_refused_for_names_its_event_to_the_sender_and_in_the_log(
    manager: EventsManager, caplog: pytest.LogCaptureFixture
) -> None:
    manager.register(EventName("account.made", Account), pack)

    response = post(manager, [cloud_event("1"), cloud_event("2", "account.made", {"age": 7})], kind=BATCH)

    assert response.status_code == 422
    assert response.get_json()["detail"].startswith("Event 2 of the batch: payload.name is missing")
    assert (
        "(payload-invalid): Event 2 of the batch: not as its type says: payload.name, payload.password" in caplog.text
    )


def test_batches_that_cross_do_not_block_each_other(manager: EventsManager) -> None:
    one = [cloud_event(str(number)) for number in range(40)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda batch: post(manager, batch, kind=BATCH), [one, one[::-1]] * 6))

    assert {answer.status_code for answer in answers} == {202}
    assert len(rows(manager, "events")) == 40


def test_a_single_cloudevent_is_answered_with_its_id(manager: EventsManager) -> None:
    response = post(manager, cloud_event("1"), kind=MEDIA_TYPE)

    (event,) = rows(manager, "events")
    assert (response.status_code, response.json) == (202, {"id": event["id"]})


def test_the_subject_is_stored_goes_along_with_a_replay_and_is_posted_on(manager: EventsManager) -> None:
    posted = []

    def post_on(event: Event[Any], ctx: Context) -> None:
        posted.append(json.loads(body_of(event, ctx)).get("subject"))
        if not event.is_replay:
            ctx.events.fire(Event("order.packed"))

    manager.register("order.sent", post_on, run="queued")
    manager.register("order.packed", pack)
    response = post(manager, cloud_event("1", "order.sent") | {"subject": "orders/7"}, kind=MEDIA_TYPE)
    manager.replay(response.get_json()["id"])

    work(manager)

    found = sorted((row["name"], row["source"], row["subject"]) for row in rows(manager, "events"))
    assert found == [
        ("order.packed", "job", None),
        ("order.sent", "http", "orders/7"),
        ("order.sent", "replay", "orders/7"),
    ]
    assert posted == ["orders/7"] * 2


def test_what_the_simple_form_says_is_about_nothing(manager: EventsManager) -> None:
    post(manager, ORDER | {"subject": "orders/7"})

    assert [row["subject"] for row in rows(manager, "events")] == [None]


def work(manager: EventsManager) -> None:
    worker = Worker(manager, Plan(once=True))
    worker.open()
    worker.run()
    manager.queueing.flush()


def test_a_delayed_event_is_due_later(manager: EventsManager) -> None:
    begun = time.time()
    response = post(manager, {"event": "order.placed", "delay": {"hours": 24}})

    assert response.status_code == 200
    for row in rows(manager, "deliveries"):
        assert begun + 86_400 - 5 < row["due_at"] < begun + 86_400 + 60


def test_the_receipt_says_who_sent_what_and_no_secret(manager: EventsManager) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    secrets = {"Authorization": "Bearer hunter2", "Cookie": "a=hunter2", "X_Api_Key": "hunter2", "X_Auth": "hunter2"}
    secrets["Referer"] = "https://shop.example/orders?token=hunter2"

    post(manager, ORDER, traceparent=trace, User_Agent="shop", **secrets)

    (event,) = rows(manager, "events")
    assert (event["id"], event["key"], event["form"]) == ("order-1", "order-1", "simple")
    assert (event["sender"], event["address"]) == ("local", "127.0.0.1")
    assert '"User-Agent":"shop"' in event["headers"] and "hunter2" not in event["headers"]
    assert '"Referer":"https://shop.example/orders?[redacted]"' in event["headers"]
    assert event["trace"] == trace


def test_the_command_shows_who_sent_an_event_and_says_nothing_of_one_that_was_fired(manager: EventsManager) -> None:
    sent = post(manager, ORDER | {"id": "order-7"}).get_json()["result"]["id"]
    with manager.app.app_context():
        fired = manager.fire(Event("order.placed", 1)).id

    assert "Sent by:   local, from 127.0.0.1\n" in printed(manager, "show", sent)
    told = printed_json(manager, "show", sent)[0]["receipt"]
    assert (told["sender"], told["form"], told["key"], told["repeats"]) == ("local", "simple", "order-7", 0)
    assert "Sent by" not in printed(manager, "show", fired)
    assert printed_json(manager, "show", fired)[0]["receipt"] is None


@pytest.mark.parametrize("trace", ["", "x", f"00-{'0' * 32}-{'1' * 16}-01", f"ff-{'1' * 32}-{'1' * 16}-01"])
def test_a_trace_that_is_none_is_ignored(manager: EventsManager, trace: str) -> None:
    response = post(manager, ORDER, traceparent=trace)

    assert response.status_code == 200
    assert [row["trace"] for row in rows(manager, "events")] == [None]


def test_more_is_put_off_while_too_much_waits(database_url: str) -> None:
    with ingress(database_url, trigger_backlog=2) as manager:
        manager.register("order.placed", pack)
        answers = [post(manager, {"event": "order.placed"}) for _ in range(2)]
        time.sleep(1.1)
        late = post(manager, {"event": "order.placed"})

        assert [answer.status_code for answer in answers] == [200, 200]
        assert (late.status_code, late.get_json()["rule"], late.headers["Retry-After"]) == (503, "backlog", "30")
        assert len(rows(manager, "events")) == 2


def test_a_database_that_is_away_is_no_2xx(tmp_path: Any) -> None:
    (tmp_path / "file").write_text("")
    manager = make_manager(f"sqlite:///{tmp_path / 'file' / 'condor.db'}")

    response = post(manager, ORDER)

    assert (response.status_code, response.get_json()["rule"]) == (503, "log-unavailable")
    assert response.headers["Retry-After"] == "5"
    assert str(tmp_path) not in response.text


def end_all(manager: EventsManager, at: float) -> None:
    with manager.log.begin() as connection:
        connection.execute(update(deliveries).values(state="done", finished_at=at))
        connection.execute(update(events).values(fired_at=at))


def prune(manager: EventsManager, now: float) -> None:
    one = Prune(Retention.of(manager.config, now))
    while not one.is_over:
        with manager.log.begin() as connection:
            one.batch(connection)


def test_the_id_of_an_event_that_was_pruned_is_new_again(manager: EventsManager) -> None:
    now = time.time()
    post(manager, ORDER)
    post(manager, {"event": "unheard.of"})
    end_all(manager, now - 31 * DAY)

    prune(manager, now)

    assert rows(manager, "events") == []
    assert post(manager, ORDER | {"payload": "another"}).status_code == 200


def test_an_event_is_known_as_long_as_it_is_not_done(manager: EventsManager) -> None:
    post(manager, ORDER)

    prune(manager, time.time() + 1000 * DAY)

    assert len(rows(manager, "events")) == 1


def test_an_event_is_known_for_as_long_as_its_signature_is_good(database_url: str) -> None:
    with ingress(database_url, retention_done=0.0001) as manager:
        now = time.time()
        manager.register("order.placed", pack)
        post(manager, ORDER)
        end_all(manager, now - 590)

        prune(manager, now)
        assert len(rows(manager, "events")) == 1
        prune(manager, now + 20)
        assert rows(manager, "events") == []


def test_the_answer_is_the_same_when_secrets_are_not_stored(database_url: str) -> None:
    with ingress(database_url, redact_stored=True) as manager:
        answers = [post(manager, {"event": "unheard.of", "payload": {"pin": 17}, "id": "1"}) for _ in range(2)]

        assert answers[0].get_json()["result"]["payload"] == {"pin": 17}
        assert answers[0].data == answers[1].data
        assert [row["payload"] for row in rows(manager, "events")] == ['{"pin": "[redacted]"}']


def test_the_run_of_a_job_is_linked_to_the_trace_of_the_sender(manager: EventsManager) -> None:
    spans, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    instrument(manager.app, tracer_provider=provider)
    manager.register("traced", pack)
    trace = "0af7651916cd43dd8448eb211c80319c"
    post(manager, {"event": "traced"}, traceparent=f"00-{trace}-b7ad6b7169203331-01")

    work(manager)

    (span,) = spans.get_finished_spans()
    assert span.name == "process traced"
    assert [f"{link.context.trace_id:032x}" for link in span.links] == [trace]
