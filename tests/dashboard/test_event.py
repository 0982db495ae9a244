"""The page of one event: what it shows, what it hides, and what its buttons do."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventName
from flask_condor import EventsManager
from flask_condor.dashboard.reading.event import notes_of
from flask_condor.dashboard.samples import as_curl
from flask_condor.dashboard.samples import as_test
from flask_condor.edited import PayloadWrong
from flask_condor.edited import checked_json
from flask_condor.edited import restored
from flask_condor.errors import PayloadNotSerializable
from flask_condor.models import audit
from flask_condor.models import events
from flask_condor.operations import note
from flask_condor.redaction import Redaction
from flask_condor.retry import Retry
from flask_condor.testing.worker import run_queue
from sqlalchemy import func
from sqlalchemy import select
from sqlalchemy import update

from tests.commands import printed_json
from tests.commands import refusal
from tests.dashboard.apps import token_of
from tests.dashboard.browsing import SAME_SITE
from tests.dashboard.browsing import Person
from tests.databases import queued


@dataclass
class Paid:
    order: int
    card: str


PAID = EventName("order.paid", Paid)
PLACED = {"order": 7, "user": {"name": "Ada <b>"}, "password": "hunter2"}


def bill(event: Event[Any], ctx: Context) -> object:
    return {"token": "t0k", "sum": 9}


def fails(event: Event[Any], ctx: Context) -> None:
    raise ValueError("no such <i>address</i>")


def take(event: Event[Paid], ctx: Context) -> None:
    pass


def shop(database_url: str, **settings: Any) -> EventsManager:
    app = Flask("shop")
    app.debug = app.testing = True
    app.config |= {"CONDOR_DATABASE_URL": database_url, **settings}
    Condor(app)
    manager: EventsManager = app.extensions["condor"]
    manager.register("order.placed", bill, run="queued")
    manager.register("order.placed", fails, run="queued", retry=Retry(max_attempts=1))
    manager.register(PAID, take, run="queued")
    return manager


@pytest.fixture
def on_both(database_url: str) -> Any:
    manager = shop(database_url)
    yield manager
    manager.log.engine.dispose()


@pytest.fixture
def manager(tmp_path: Path) -> EventsManager:
    return shop(f"sqlite:///{tmp_path / 'condor.db'}", CONDOR_TRACE_URL="https://traces.test/{trace_id}?x=1")


def placed(manager: EventsManager, **payload: Any) -> str:
    return manager.fire(Event("order.placed", PLACED | payload)).id


def stored(manager: EventsManager) -> list[Any]:
    with manager.log.read() as connection:
        return list(connection.execute(select(events).order_by(events.c.fired_at)))


def test_the_subject_stands_above_every_tab_and_in_the_export(manager: EventsManager) -> None:
    about, about_nothing = placed(manager), placed(manager)
    with manager.log.begin() as connection:
        connection.execute(update(events).where(events.c.id == about).values(subject="orders/<b>7"))
    person = Person(manager)

    for tab in ("payload", "jobs", "chain", "http", "audit"):
        assert "<dt>Subject</dt><dd>orders/&lt;b&gt;7</dd>" in person.open(f"/events/{about}?tab={tab}")
        assert "Subject" not in person.open(f"/events/{about_nothing}?tab={tab}")
    assert json.loads(person.open(f"/events/{about}?format=json"))["rows"][0]["subject"] == "orders/<b>7"


def test_every_tab_shows_its_part_escaped_and_without_secrets(manager: EventsManager) -> None:
    id = placed(manager)
    run_queue(manager, check=False)
    person = Person(manager)

    pages = {tab: person.open(f"/events/{id}?tab={tab}") for tab in ("payload", "jobs", "chain", "http", "audit")}
    pages["raw"] = person.open(f"/events/{id}?view=raw")

    for page in pages.values():
        assert "hunter2" not in page and "t0k" not in page and "<b>" not in page and "<i>" not in page
        assert id in page and "partial" in page
    assert "Ada &lt;b&gt;" in pages["payload"] and "[redacted]" in pages["payload"]
    assert "ValueError: no such &lt;i&gt;address" in pages["jobs"] and "<svg" in pages["jobs"]
    assert "did not come over HTTP" in pages["http"] and "Nobody did anything" in pages["audit"]


def test_what_a_job_logged_stands_under_its_attempt_escaped_and_without_secrets(manager: EventsManager) -> None:
    def logs(event: Event[Any], ctx: Context) -> None:
        logging.getLogger("shop").warning("<b>billed</b> token=t0k")

    manager.register("order.billed", logs, run="queued")
    id = manager.fire(Event("order.billed")).id
    run_queue(manager, check=False)
    person = Person(manager)

    pages = [person.open(f"/events/{id}?tab=jobs"), person.open("/runs/1")]

    for page in pages:
        assert page.count("Log lines") == 1 and "t0k" not in page
        assert "WARNING shop: &lt;b&gt;billed&lt;/b&gt; token=[redacted]" in page


def test_what_was_noted_of_an_event_is_shown_without_secrets(manager: EventsManager) -> None:
    id = placed(manager)
    with manager.log.begin() as connection:
        note(connection, "ada", "retry", event_id=id, was={"attempt": 7, "api_token": "t0k"})

    page = Person(manager).open(f"/events/{id}?tab=audit")

    assert "api_token" in page and "[redacted]" in page and "t0k" not in page


def test_an_event_that_is_not_there_and_a_tab_that_is_none_are_told(manager: EventsManager) -> None:
    placed(manager)
    person = Person(manager)

    assert "There is no such event" in person.open("/events/none<script>", 404)
    assert "<script>alert" not in person.open("/events/<script>alert(1)</script>", 404)
    assert "none of: payload" in person.open(f"/events/{stored(manager)[0].id}?tab=x", 400)


def test_the_header_tells_of_the_receipt_the_trace_and_the_headers_without_secrets(manager: EventsManager) -> None:
    id = placed(manager)
    with manager.log.begin() as connection:
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        connection.execute(update(events).values(trace=trace))
        receipt: dict[str, Any] = {
            "digest": "d",
            "form": "simple",
            "sender": "token shop",
            "key": "k-1",
        }
        headers = {"User-Agent": "curl", "Authorization": "Bearer s3cret"}
        receipt |= {"address": "10.0.0.9", "headers": json.dumps(headers), "repeats": 2}
        connection.execute(update(events).values(receipt))

    page = Person(manager).open(f"/events/{id}?tab=http")

    assert "token shop, from 10.0.0.9; sent again 2 times" in page and "k-1" in page
    assert 'href="https://traces.test/0af7651916cd43dd8448eb211c80319c?x=1"' in page
    assert "curl" in page and "s3cret" not in page


def test_revealing_shows_the_secrets_and_is_in_the_audit(manager: EventsManager) -> None:
    id = placed(manager)
    person = Person(manager)

    page = person.open(f"/events/{id}?view=raw")
    answer = person.press(page, f"/events/{id}/reveal?view=raw")
    file = person.press(answer.text, f"/events/{id}/reveal?format=json")

    assert answer.status_code == 200 and "hunter2" in answer.text and "data-live" not in answer.text
    assert f'<a href="/condor/events/{id}?view=raw">Hide them</a>' in answer.text
    assert file.json and file.json["rows"][0]["payload"]["password"] == "hunter2"
    with manager.log.read() as connection:
        notes = notes_of(connection, id)
    assert [(note.action, note.actor) for note in notes] == [("reveal", "dashboard 127.0.0.1")] * 2


def test_nothing_is_revealed_or_written_down_by_opening_a_link(manager: EventsManager) -> None:
    id = placed(manager)
    person = Person(manager)

    pages = [
        person.open(f"/events/{id}?{query}") for query in ("reveal=1", "reveal=1&format=json", "tab=replay&reveal=1")
    ]

    assert not [page for page in pages if "hunter2" in page]
    assert person.client.get(f"/condor/events/{id}/reveal").status_code == 404
    assert "Nobody did anything" in person.open(f"/events/{id}?tab=audit")


def test_nothing_is_revealed_to_a_form_of_another_site_or_of_an_event_that_is_gone(manager: EventsManager) -> None:
    id = placed(manager)
    person = Person(manager)
    token = {"condor_form": token_of(person.client, f"/condor/events/{id}")}

    foreign = {"Sec-Fetch-Site": "cross-site"}
    answers = [
        person.client.post(f"/condor/events/{id}/reveal", data=token, headers=foreign),
        person.client.post(f"/condor/events/{id}/reveal", headers=SAME_SITE),
    ]
    gone = person.client.post("/condor/events/gone/reveal", data=token, headers=SAME_SITE)

    assert [answer.status_code for answer in answers] == [403, 403] and gone.status_code == 404
    assert not [answer for answer in answers if "hunter2" in answer.text]
    with manager.log.read() as connection:
        assert not connection.scalar(select(func.count()).select_from(audit))


def test_who_may_not_see_payloads_is_not_shown_secrets(tmp_path: Path) -> None:
    app = Flask("shop")
    app.config["CONDOR_DATABASE_URL"] = f"sqlite:///{tmp_path / 'condor.db'}"
    Condor(app, authorize=lambda action, request: action == "view")
    manager: EventsManager = app.extensions["condor"]
    manager.register("order.placed", bill, run="queued")
    id = placed(manager)
    person = Person(manager)

    page = person.open(f"/events/{id}")
    assert "Reveal them" not in page and "/replay" not in page and "tab=replay" not in page
    for action in ("reveal", "replay", "edit", "retry", "cancel"):
        assert person.client.post(f"/condor/events/{id}/{action}", headers=SAME_SITE).status_code == 403


def test_a_replay_is_one_however_often_its_button_is_pressed(on_both: EventsManager) -> None:
    id = placed(on_both)
    person = Person(on_both)
    page = person.open(f"/events/{id}")
    people = [person.again() for _ in range(20)]

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda one: one.press(page, f"/events/{id}/replay"), people))

    assert {answer.status_code for answer in answers} == {303}
    assert len({answer.location for answer in answers}) == 1
    first, again = stored(on_both)
    assert (again.source, again.replay_of, again.payload) == ("replay", id, first.payload)
    assert len(queued(on_both)) == 4
    with on_both.log.read() as connection:
        assert [note.action for note in notes_of(connection, id)] == ["replay"]


def test_a_retry_pressed_at_once_moves_each_run_once(on_both: EventsManager) -> None:
    id = placed(on_both)
    run_queue(on_both, check=False)
    person = Person(on_both)
    page = person.open(f"/events/{id}")

    with ThreadPoolExecutor(20) as pool:
        people = [person.again() for _ in range(20)]
        answers = list(pool.map(lambda one: one.press(page, f"/events/{id}/retry"), people))

    assert {answer.status_code for answer in answers} == {303}
    with on_both.log.read() as connection:
        assert connection.scalar(select(func.count()).where(audit.c.action == "retry")) == 1


def test_what_is_pending_can_be_cancelled(manager: EventsManager) -> None:
    id = placed(manager)
    person = Person(manager)

    answer = person.press(person.open(f"/events/{id}"), f"/events/{id}/cancel")

    assert answer.status_code == 303 and {row.state for row in queued(manager)} == {"cancelled"}
    assert "Cancelled 2 runs" in person.open(f"/events/{id}")


def test_an_event_is_replayed_with_an_edited_payload_whose_hidden_values_are_kept(on_both: EventsManager) -> None:
    id = placed(on_both)
    person = Person(on_both)
    page = person.open(f"/events/{id}?tab=replay")
    typed = json.dumps(PLACED | {"order": 8, "password": "[redacted]"})

    answers = [person.press(page, f"/events/{id}/edit", payload=typed) for _ in range(2)]
    other = person.press(page, f"/events/{id}/edit", payload=typed.replace("8", "9"))

    assert len({answer.location for answer in answers}) == 1 and other.location != answers[0].location
    payloads = [json.loads(row.payload) for row in stored(on_both)]
    assert payloads == [PLACED, PLACED | {"order": 8}, PLACED | {"order": 9}]
    assert [row.replay_of for row in stored(on_both)] == [None, id, id]
    assert "Diff to what it replays" in (shown := person.open(f"/events/{stored(on_both)[1].id}?view=diff"))
    assert 'class="gone"' in shown and "hunter2" not in shown


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("{", "The payload is no JSON: Expecting property name"),
        ("", "The payload is no JSON"),
        ("[NaN]", "has NaN, which JSON has no word for"),
        ('{"a": 1, "a": 2}', "the key 'a' twice"),
        ("9" * 5000, "a number that is too long"),
        ("[" * 100_000, "nested too deep"),
        ('"\\ud800"', "half a character"),
        ('{"order": "<i>", "card": "c"}', "payload.order"),
        ('{"order": 1}', "payload.card"),
        ('{"order": 1, "card": "[redacted]", "pin": "[redacted]"}', "payload.pin is '[redacted]', and no value"),
    ],
)
def test_a_payload_that_is_wrong_is_told_on_the_form_with_nothing_lost(
    manager: EventsManager, typed: str, told: str
) -> None:
    id = manager.fire(Event(PAID, Paid(1, "4242"))).id
    person = Person(manager)

    answer = person.press(person.open(f"/events/{id}?tab=replay"), f"/events/{id}/edit", payload=typed)

    page = unescape(answer.text)
    assert answer.status_code == 422 and "Nothing was fired" in page
    assert f'href="/condor/events/{id}?period=24h"' in page and "/edit?" not in page
    assert told in page and typed in page and "<i>" not in answer.text
    assert len(stored(manager)) == 1


def test_a_form_that_names_no_replay_is_refused(manager: EventsManager) -> None:
    id = placed(manager)
    person = Person(manager)

    answer = person.press(person.open(f"/events/{id}"), f"/events/{id}/replay", once="x")

    assert answer.status_code == 400 and "Load its page anew" in answer.text and len(stored(manager)) == 1


def test_the_payload_is_checked_against_the_type_of_its_name(manager: EventsManager) -> None:
    id = manager.fire(Event(PAID, Paid(1, "4242"))).id
    person = Person(manager)

    assert "valid <code>Paid</code>" in person.open(f"/events/{id}")
    with manager.log.begin() as connection:
        connection.execute(update(events).values(payload='{"order": "one", "card": 4242}'))
    page = unescape(person.open(f"/events/{id}"))

    assert "not a valid" in page and "payload.order" in page
    assert "payload.card is not of its type (its value is hidden)" in page and "4242" not in page


def test_a_large_payload_is_cut_and_can_be_downloaded(manager: EventsManager) -> None:
    id = placed(manager, text="x" * 2**20)
    many = placed(manager, lists=[[] for _ in range(15_000)])
    person = Person(manager)

    page = person.open(f"/events/{id}")
    whole = json.loads(person.open(f"/events/{id}?format=json"))

    assert len(page) < 150_000 and "Only its beginning is shown" in page
    assert len(whole["rows"][0]["payload"]["text"]) == 2**20 and "hunter2" not in json.dumps(whole)
    assert len(person.open(f"/events/{many}")) < 300_000


def test_the_curl_command_names_the_trigger_and_no_secret(manager: EventsManager) -> None:
    page = unescape(Person(manager).open(f"/events/{placed(manager)}"))

    assert "curl -X POST http://localhost/trigger" in page and "$CONDOR_TOKEN" in page
    assert as_curl("http://a/t", "o'k", {"a": "x'y"}).endswith(
        """-d '{"event": "o'"'"'k", "payload": {"a": "x'"'"'y"}}'"""
    )


PASTED = """
import pytest
from flask import Flask
from flask_condor import Condor


@pytest.fixture
def app():
    from {module} import shop

    return shop("sqlite:///{database}").app


"""


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("order.paid", {"order": 1, "card": "[redacted]"}),
        ("order.paid", {"order": 1, "card": "a\"b'\\n" * 40}),
        ("nobody's class", {"deep": [{"a": None, "b": True}] * 30, "text": "ü\n"}),
    ],
)
def test_the_pytest_case_runs_as_it_is_pasted(tmp_path: Path, name: str, payload: Any) -> None:
    text = PASTED.format(module=__name__, database=tmp_path / "condor.db") + as_test(name, payload)
    (tmp_path / "test_pasted.py").write_text(text, encoding="utf-8")

    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)

    assert "1 passed" in ran.stdout, ran.stdout + ran.stderr


def test_the_command_replays_with_another_payload(manager: EventsManager) -> None:
    id = manager.fire(Event(PAID, Paid(1, "4242"))).id

    (made,) = printed_json(manager, "replay", id, "--payload", '{"order": 2, "card": "4343"}')

    assert json.loads(stored(manager)[1].payload) == {"order": 2, "card": "4343"}
    assert (stored(manager)[1].id, stored(manager)[1].source) == (made["replay"], "replay")
    assert "payload.card" in refusal(manager, "replay", id, "--payload", '{"order": 2}')
    assert "is no JSON" in refusal(manager, "replay", id, "--payload", "{")
    assert "type one EVENT_ID" in refusal(manager, "replay", id, id, "--payload", "1")
    assert "--payload" in refusal(manager, "replay", "--event", "a", "--since", "1h", "--payload", "1")


def test_a_redacted_event_can_be_replayed_with_a_whole_payload_only(tmp_path: Path) -> None:
    manager = shop(f"sqlite:///{tmp_path / 'condor.db'}", CONDOR_REDACT_STORED=True)
    id = placed(manager)
    manager.cancel(id)
    person = Person(manager)
    page = person.open(f"/events/{id}?tab=replay")

    assert "were not kept" in page and f"/events/{id}/replay" not in page
    refused = person.press(page, f"/events/{id}/edit", payload=json.dumps(PLACED | {"password": "[redacted]"}))
    assert refused.status_code == 422 and "no value of it is stored" in refused.text
    assert person.press(page, f"/events/{id}/edit", payload=json.dumps(PLACED)).status_code == 303
    assert json.loads(stored(manager)[1].payload) == PLACED


def test_hidden_values_are_put_back_at_their_own_place_only() -> None:
    known = {"a": [{"token": "x"}, {"token": "y"}], "token": "z", "b": "[redacted]"}
    hidden = {"a": [{"token": "[redacted]"}], "b": "[redacted]", "token": "new"}

    assert restored(hidden, known, Redaction()) == {"a": [{"token": "x"}], "b": "[redacted]", "token": "new"}
    for wrong in ({"c": {"token": "[redacted]"}}, {"a": [{}, {}, {"token": "[redacted]"}]}, [{"token": "[redacted]"}]):
        with pytest.raises(PayloadWrong, match="no value of it is stored"):
            restored(wrong, known, Redaction())


def test_json_is_kept_as_it_was_meant_or_refused() -> None:
    assert checked_json(' {"a": [1, 1.5, null, "ü"]} ') == '{"a":[1,1.5,null,"ü"]}'
    with pytest.raises(PayloadNotSerializable, match="beyond 64 bits"):
        checked_json(str(2**70))
