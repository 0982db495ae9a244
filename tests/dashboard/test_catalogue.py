"""The screen Catalogue: what is registered, what the code and the log say of it, and the form of a test event."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from typing import Literal

import pytest
from flask import Flask
from flask import Request
from flask.testing import FlaskClient
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventName
from flask_condor.dashboard.trial import Schema
from flask_condor.dashboard.trial import example_of
from flask_condor.models import audit
from flask_condor.models import deliveries
from flask_condor.models import events
from flask_condor.rates import Finished
from flask_condor.rates import Outcome
from flask_condor.rates import add_runs
from sqlalchemy import func
from sqlalchemy import select
from werkzeug.test import TestResponse

from tests.commands import printed
from tests.dashboard.apps import make_app
from tests.dashboard.apps import manager_of
from tests.dashboard.apps import press
from tests.dashboard.apps import token_of


@dataclass
class Invoice:
    """A flat payload."""

    number: int
    customer: str
    total: float
    kind: Literal["bill", "credit"] = "bill"
    is_paid: bool = False
    note: str | None = None


@dataclass
class Basket:
    """One with a list in it."""

    items: list[Invoice]
    owner: str
    coupon: str | None = None


INVOICE_SENT = EventName("invoice.sent", Invoice)
BASKET_FILLED = EventName("basket.filled", Basket)
USER_REGISTERED = "user.registered"
allowed: set[str] = set()


def authorize(action: str, request: Request) -> bool:
    return action in allowed


def index(event: Event[Any], ctx: Context) -> None:
    ctx.events.emit("index.grown", {})


@pytest.fixture
def app(database_url: str, tmp_path: Path) -> Iterator[Flask]:
    allowed.clear()
    allowed.update(("view", "replay"))
    app = make_app(tmp_path, authorize=authorize, CONDOR_DATABASE_URL=database_url)
    manager_of(app).register(INVOICE_SENT, index)
    manager_of(app).register(BASKET_FILLED)
    yield app
    manager_of(app).log.engine.dispose()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def send(client: FlaskClient, name: str, page: str | None = None, **fields: str) -> TestResponse:
    """Fill in the form of an event, and send it; *page* is where it was loaded, when it was before."""
    page = page or client.get(f"/condor/catalogue/{name}").text
    once = re.findall(r'name="once" value="([\w-]+)"', page)
    assert once, page
    token = token_of(client, f"/condor/catalogue/{name}")
    return press(client, f"/condor/catalogue/{name}/fire", token, {"once": once[0], **fields})


def stored(app: Flask) -> list[tuple[str, Any]]:
    with manager_of(app).log.read() as connection:
        rows = connection.execute(select(events.c.name, events.c.payload).order_by(events.c.fired_at))
        return [(name, json.loads(payload)) for name, payload in rows]


def test_each_registered_event_is_listed_with_what_the_code_says(client: FlaskClient) -> None:
    page = client.get("/condor/catalogue").text
    rows: Any = client.get("/condor/catalogue?format=json").json
    found = {row["event"]: row for row in rows["rows"] if row["registered"]}

    assert list(found) == ["basket.filled", "invoice.sent", "user.registered"] and "3</span> registered" in page
    assert found["invoice.sent"]["constant"] == "INVOICE_SENT" and found["invoice.sent"]["payload_type"] == "Invoice"
    assert found["invoice.sent"]["jobs"] == [f"{__name__}:index (now)"]
    assert "test_catalogue.py:" in found["invoice.sent"]["registered_at"]
    assert found["user.registered"]["jobs"] == ["tests.dashboard.apps:send_mail (queued)"]
    assert "INVOICE_SENT" in page and "never fired" in page


def test_what_is_fired_by_the_clock_says_how_and_when_next(app: Flask, client: FlaskClient) -> None:
    manager_of(app).schedule(USER_REGISTERED, "0 9 * * *", timezone="Asia/Tokyo")

    page = client.get(f"/condor/catalogue/{USER_REGISTERED}").text

    told = page.partition("By the clock</dt>")[2].partition("</dd>")[0]
    assert "<code>0 9 * * *</code> Asia/Tokyo, next" in told and "in " in told and "00:00:00" in told
    assert "By the clock" not in client.get(f"/condor/catalogue/{INVOICE_SENT}").text


def test_when_it_was_fired_and_how_its_jobs_ran_is_told(app: Flask, client: FlaskClient) -> None:
    with app.app_context():
        manager_of(app).fire(Event(INVOICE_SENT, Invoice(1, "ada", 2.5)))
        assert manager_of(app).queueing.recorder.flush(60)

    rows: Any = client.get("/condor/catalogue?format=json&find=INVOICE").json
    [row] = rows["rows"]

    assert row["last_fired"].startswith(time.strftime("%Y-", time.gmtime()))
    assert (row["runs_24h"], row["failed_24h"]) == (1, 0)


def test_the_runs_of_a_day_are_counted_by_whole_hours(app: Flask, client: FlaskClient) -> None:
    ages: tuple[tuple[float, Outcome], ...] = (0.5, "done"), (3.0, "failed"), (23.0, "dead"), (26.0, "dead")
    with manager_of(app).log.begin() as connection:
        found = [Finished(INVOICE_SENT, "m:j", how, time.time() - hours * 3600, 0.1) for hours, how in ages]
        add_runs(connection, found)

    read: list[Any] = [client.get("/condor/catalogue?format=json&find=INVOICE").json for _ in range(2)]
    page = client.get("/condor/catalogue/invoice.sent").text

    assert [(one["rows"][0]["runs_24h"], one["rows"][0]["failed_24h"]) for one in read] == [(3, 2), (3, 2)]
    assert "3, of which 2 failed" in re.sub("<.*?>", "", page)


def test_names_that_are_fired_and_not_registered_are_listed(app: Flask, client: FlaskClient) -> None:
    with app.app_context():
        manager_of(app).emit("user.registred", {})
        assert manager_of(app).queueing.recorder.flush(60)

    page, before = (
        client.get("/condor/catalogue").text,
        client.get("/condor/catalogue?since=2020-01-01&until=2020-01-02"),
    )

    assert "Fired, but not registered" in page and "user.registred" in page
    assert "index.grown" in page and "test_catalogue.py:" in page
    assert "user.registred" not in before.text and "index.grown" in before.text


@pytest.mark.parametrize(
    ("find", "expected"),
    [("basket", ["basket.filled"]), ("Invoice", ["invoice.sent"]), ("send_mail", ["user.registered"]), ("none", [])],
)
def test_the_list_is_filtered(client: FlaskClient, find: str, expected: list[str]) -> None:
    page = client.get(f"/condor/catalogue?find={find}").text

    assert re.findall(r'<th scope="row"><a href="/condor/catalogue/([\w.]+)', page) == expected
    assert ("No registered event has that." in page) == (not expected)


def test_the_list_has_pages(app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flask_condor.dashboard.pages.catalogue.ROWS", 2)

    first = client.get("/condor/catalogue").text
    following = re.search(r'<a href="([^"]+)" rel="next"', first)
    assert following is not None
    second = client.get(following[1].replace("&amp;", "&")).text

    assert re.findall(r'"row"><a href="/condor/catalogue/([\w.]+)', second) == ["user.registered"]
    assert 'rel="next"' not in second


def test_an_app_without_events_is_told_what_to_do(app: Flask, client: FlaskClient) -> None:
    manager_of(app).registry._jobs.clear()

    page = client.get("/condor/catalogue").text

    assert "No event is registered." in page and "flask events gen job" in page


def test_one_event_has_its_jobs_its_schema_and_a_field_for_each_key(client: FlaskClient) -> None:
    page = client.get("/condor/catalogue/invoice.sent").text

    assert re.findall(r'name="field\.(\w+)"', page) == ["number", "customer", "total", "kind", "is_paid", "note"]
    assert "now, in the thread that fires" in page and f"{__name__}:index" in page
    assert "&#34;customer&#34;: {" in page and '"/condor/events?name=invoice.sent"' in page
    assert "textarea" not in page and "textarea" in client.get("/condor/catalogue/user.registered").text


def test_a_payload_that_is_not_flat_begins_as_an_example(app: Flask) -> None:
    registry = manager_of(app).registry

    assert example_of(Schema.of(registry, "basket.filled")) == {"items": [], "owner": ""}
    assert example_of(Schema.of(registry, "user.registered")) == {}


def test_a_test_event_is_fired_with_what_was_typed_and_audited(app: Flask, client: FlaskClient) -> None:
    typed = {"number": "7", "customer": '<"ada">', "total": "2.50", "kind": '"credit"', "is_paid": "true"}

    answer = send(client, "invoice.sent", **{f"field.{key}": value for key, value in typed.items()})

    [(name, payload)] = stored(app)
    assert answer.status_code == 303 and answer.headers["Location"].startswith("/condor/events/")
    assert (name, payload) == (
        "invoice.sent",
        {"number": 7, "customer": '<"ada">', "total": 2.5, "kind": "credit", "is_paid": True},
    )
    with manager_of(app).log.read() as connection:
        assert connection.execute(select(deliveries.c.run, deliveries.c.state)).all() == [("queued", "pending")]
        [noted] = connection.execute(select(audit)).all()
    assert (noted.action, noted.actor, json.loads(noted.detail)) == (
        "fire",
        "dashboard 127.0.0.1",
        {"event": "invoice.sent"},
    )


def test_one_form_is_one_event_however_often_it_is_sent(app: Flask, client: FlaskClient) -> None:
    page = client.get("/condor/catalogue/user.registered").text

    first = send(client, "user.registered", page, payload='{"id": 1}')
    again = send(client, "user.registered", page, payload='{"id": 1}')

    assert first.headers["Location"] == again.headers["Location"] and len(stored(app)) == 1
    assert "was sent before" in client.get(again.headers["Location"]).text
    with manager_of(app).log.read() as connection:
        assert connection.scalar(select(func.count()).select_from(audit)) == 1


@pytest.mark.parametrize(
    ("name", "typed", "told"),
    [
        ("invoice.sent", {"field.number": "many", "field.total": "1"}, "number is &#39;many&#39;"),
        ("invoice.sent", {"field.number": "9" * 5000, "field.total": "1"}, "number is"),
        ("invoice.sent", {"field.number": "1", "field.total": "NaN"}, "total is &#39;NaN&#39;"),
        ("invoice.sent", {"field.number": "1", "field.total": "1e999"}, "total is &#39;1e999&#39;"),
        ("invoice.sent", {"field.number": "1", "field.total": "1", "field.kind": '"loan"'}, "kind is none of"),
        ("basket.filled", {"payload": '{"items": 1, "owner": "<kept>"}'}, "payload.items is 1: expected array"),
        ("user.registered", {"payload": '{"a": 1, "a": "<kept>"}'}, "the key &#39;a&#39; twice"),
        ("user.registered", {"payload": "{<kept>"}, "is no JSON"),
        ("user.registered", {"payload": "[NaN]"}, "NaN"),
        ("user.registered", {"payload": "[" * 5000}, "Send it flatter"),
        ("user.registered", {"payload": ""}, "is no JSON"),
    ],
)
def test_what_is_wrong_is_told_on_the_form_and_nothing_is_lost(
    app: Flask, client: FlaskClient, name: str, typed: dict[str, str], told: str
) -> None:
    answer = send(client, name, **{"field.customer": "<kept>", **typed})

    assert answer.status_code == 422 and told in answer.text, answer.text
    assert (
        "<kept>" not in answer.text and ("&lt;kept&gt;" in answer.text or "kept" not in str(typed)) and not stored(app)
    )


def test_who_may_not_replay_sees_no_form_and_is_refused(app: Flask, client: FlaskClient) -> None:
    token = token_of(client, "/condor/catalogue/user.registered")
    allowed.discard("replay")

    answer = press(client, "/condor/catalogue/user.registered/fire", token, {"payload": "1"})

    assert answer.status_code == 403 and not stored(app)
    assert "Send a test event" not in client.get("/condor/catalogue/user.registered").text


def test_a_form_without_its_number_and_events_that_are_disabled_are_refused(app: Flask, client: FlaskClient) -> None:
    token = token_of(client, "/condor/catalogue/user.registered")

    unnumbered = press(client, "/condor/catalogue/user.registered/fire", token, {"payload": "1"})
    with manager_of(app).disable():
        disabled = send(client, "user.registered", payload="1")

    assert (unnumbered.status_code, disabled.status_code) == (400, 409) and "disabled" in disabled.text
    assert not stored(app)


@pytest.mark.parametrize("path", ["/catalogue/nope", "/catalogue/%3Cscript%3E", "/catalogue/nope?find=%00"])
def test_a_name_that_is_not_registered_is_a_page_that_says_so(client: FlaskClient, path: str) -> None:
    answer = client.get(f"/condor{path}")

    assert answer.status_code == 404 and "No event of that name is registered" in answer.text
    assert "<script>" not in answer.text


def test_the_asyncapi_document_is_that_of_the_command(app: Flask, client: FlaskClient) -> None:
    answer = client.get("/condor/asyncapi.json")

    assert answer.json == json.loads(printed(manager_of(app), "asyncapi"))
    assert answer.headers["Content-Disposition"] == 'attachment; filename="asyncapi.json"'
