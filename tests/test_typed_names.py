"""A typed name: its payload is checked when it is fired, each wrong field is named, and the job sees the type."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field
from datetime import UTC
from datetime import datetime
from typing import Annotated
from typing import Any
from typing import Generic
from typing import NotRequired
from typing import TypedDict
from typing import TypeVar

import attrs
import msgspec
import pydantic
import pytest
from flask import Flask
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventName
from flask_condor import EventsManager
from flask_condor import JobsFailed
from flask_condor import ctx
from flask_condor.errors import CondorError
from flask_condor.errors import EventInvalid
from flask_condor.faults import PayloadInvalid
from flask_condor.payload_type import PayloadTypeInvalid
from flask_condor.testing import FakeEvents
from flask_condor.typed_names import EventTypedTwice

T = TypeVar("T")
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@dataclass
class Item:
    sku: str
    quantity: int


@dataclass
class OrderCompleted:
    order_id: int
    items: list[Item]
    at: datetime = NOON
    notes: dict[str, str] = field(default_factory=dict)


class FileUploaded(TypedDict):
    path: str
    owner: NotRequired[int]


class Paid(msgspec.Struct):
    total: Annotated[float, msgspec.Meta(ge=0)]


@attrs.define
class Verified:
    email: str
    code: int


class Line(pydantic.BaseModel):
    sku: str
    quantity: int = pydantic.Field(gt=0)


class Cart(pydantic.BaseModel):
    lines: list[Line]
    at: datetime = NOON


class User:
    """Any class of the app's."""


class PasswordChanged(TypedDict):
    user: User


class Scheduled(TypedDict):
    at: datetime
    items: list[Item]


ORDER_COMPLETED = EventName("order.completed", OrderCompleted)
FILE_UPLOADED = EventName("file.uploaded", FileUploaded)
ORDER_PAID = EventName("order.paid", Paid)
USER_VERIFIED = EventName("user.verified", Verified)
CART_FILLED = EventName("cart.filled", Cart)
COUNTED = EventName("counted", dict[str, int])
PASSWORD_CHANGED = EventName("password-changed", PasswordChanged)
SCHEDULED = EventName("scheduled", Scheduled)

ORDER = {"order_id": 7, "items": [{"sku": "a", "quantity": 2}], "at": "2026-11-21T12:00:00Z"}


@pytest.fixture
def seen(events_manager: EventsManager) -> list[Any]:
    """The payloads that a job of each of the names above was given, in this order."""
    seen: list[Any] = []

    def see(event: Event[Any], ctx: Context) -> None:
        seen.append(event.payload)

    for name in (ORDER_COMPLETED, FILE_UPLOADED, ORDER_PAID, USER_VERIFIED, CART_FILLED, COUNTED, PASSWORD_CHANGED):
        events_manager.register(name, see)
    events_manager.register(SCHEDULED, see)
    return seen


Fire = Callable[[str, Any], Any]


@pytest.fixture(params=["short", "long", "emit", "outside"])
def fire(request: pytest.FixtureRequest, app: Flask, events_manager: EventsManager) -> Fire:
    """Every way that leads to a job."""

    def fire_in_request(name: str, payload: Any) -> None:
        with app.test_request_context():
            ctx.events.fire(Event(name, payload))
            ctx.events.fire(Event(name, payload))

    def fire_with_manager(name: str, payload: Any) -> None:
        events_manager.fire(Event(name, payload))
        events_manager.fire(Event(name, payload))

    def emit(name: str, payload: Any) -> None:
        with app.test_request_context():
            ctx.events.emit(name, payload)
            ctx.events.emit(name, payload)

    def emit_outside(name: str, payload: Any) -> None:
        events_manager.emit(name, payload)
        events_manager.emit(name, payload)

    return {"short": fire_in_request, "long": fire_with_manager, "emit": emit, "outside": emit_outside}[request.param]


def told(error: pytest.ExceptionInfo[PayloadInvalid]) -> list[str]:
    return [str(fault) for fault in error.value.faults]


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        (ORDER_COMPLETED, OrderCompleted(7, [Item("a", 2)])),
        (FILE_UPLOADED, {"path": "a.txt"}),
        (FILE_UPLOADED, {"path": "a.txt", "owner": 3}),
        (FILE_UPLOADED, {"path": "a.txt", "more": NOON}),
        (ORDER_PAID, Paid(9.5)),
        (USER_VERIFIED, Verified("ada@example.com", 1)),
        (CART_FILLED, Cart(lines=[])),
        (COUNTED, {"a": 1}),
        (PASSWORD_CHANGED, {"user": User()}),
        (SCHEDULED, {"at": NOON, "items": [Item("a", 2)]}),
    ],
)
@pytest.mark.parametrize("spell", [lambda name: name, str], ids=["by its constant", "by plain text"])
def test_a_payload_of_the_type_is_handed_on_as_the_very_object(
    seen: list[Any], fire: Fire, name: EventName[Any], payload: Any, spell: Callable[[str], str]
) -> None:
    fire(spell(name), payload)

    assert len(seen) == 2
    assert all(one is payload for one in seen)


@pytest.mark.parametrize(
    ("name", "payload", "made"),
    [
        (ORDER_COMPLETED, ORDER, OrderCompleted(7, [Item("a", 2)])),
        (ORDER_COMPLETED, {"order_id": 7, "items": [Item("a", 2)]}, OrderCompleted(7, [Item("a", 2)])),
        (ORDER_PAID, {"total": 9}, Paid(9.0)),
        (USER_VERIFIED, {"email": "ada@example.com", "code": 1}, Verified("ada@example.com", 1)),
        (CART_FILLED, {"lines": [{"sku": "a", "quantity": 2}]}, Cart(lines=[Line(sku="a", quantity=2)])),
        (SCHEDULED, {"at": NOON.isoformat(), "items": ORDER["items"]}, {"at": NOON, "items": [Item("a", 2)]}),
    ],
)
def test_a_dict_becomes_what_was_declared(
    seen: list[Any], fire: Fire, name: EventName[Any], payload: Any, made: Any
) -> None:
    fire(str(name), payload)

    assert seen == [made, made]
    assert [type(one) for one in seen] == [type(made)] * 2


def test_the_event_that_fire_returns_has_the_payload_that_the_jobs_saw(
    events_manager: EventsManager, seen: list[Any]
) -> None:
    assert events_manager.emit("order.completed", ORDER).payload is seen[0]


def test_each_wrong_field_is_told_with_its_path(seen: list[Any], fire: Fire) -> None:
    items = [{"sku": "a", "quantity": 1}, {"sku": 5, "quantity": "two"}, {"sku": "c"}]

    with pytest.raises(PayloadInvalid) as refused:
        fire("order.completed", {"order_id": "x" * 500, "items": items, "at": "noon", "notes": {"b c": 1}})

    assert told(refused) == [
        f"payload.order_id is '{'x' * 38}…: expected int",
        "payload.items[1].sku is 5: expected str",
        "payload.items[1].quantity is 'two': expected int",
        "payload.items[2].quantity is missing: expected int",
        "payload.at is 'noon': invalid RFC3339 encoded datetime",
        "payload.notes['b c'] is 1: expected str",
    ]
    assert str(refused.value).startswith("the payload of event 'order.completed' is not what its EventName says: payl")
    assert "\n" not in str(refused.value)
    assert seen == []


@pytest.mark.parametrize(
    ("name", "payload", "faults"),
    [
        (ORDER_COMPLETED, None, ["payload is None: expected OrderCompleted"]),
        (ORDER_COMPLETED, {}, ["payload.order_id is missing: expected int", "payload.items is missing: expected list"]),
        (ORDER_COMPLETED, Paid(1), ["payload is Paid(total=1): expected OrderCompleted"]),
        (ORDER_COMPLETED, [], ["payload is []: expected OrderCompleted"]),
        (
            FILE_UPLOADED,
            {"owner": "x"},
            ["payload.path is missing: expected str", "payload.owner is 'x': expected int"],
        ),
        (ORDER_PAID, {"total": -1}, ["payload.total is -1: expected float >= 0.0"]),
        (USER_VERIFIED, {"email": 1, "code": None}, ["payload.email is 1: expected str", "payload.code is None: exp"]),
        (COUNTED, {"a": 1, "b": "x", "c": 1.5}, ["payload['b'] is 'x': expected int", "payload['c'] is 1.5: expec"]),
        (COUNTED, {1: 1}, ["payload[1] has the wrong key: expected str"]),
        (PASSWORD_CHANGED, {"user": "ada"}, ["payload.user is 'ada': expected User"]),
        (
            CART_FILLED,
            {"lines": [{"sku": "a", "quantity": 0}, {"quantity": 1}], "at": "noon"},
            ["payload.lines[0].quantity is 0: input should be", "payload.lines[1].sku is missing", "payload.at is 'no"],
        ),
    ],
)
def test_a_wrong_payload_runs_nothing(
    seen: list[Any], fire: Fire, name: EventName[Any], payload: Any, faults: list[str]
) -> None:
    with pytest.raises(PayloadInvalid) as refused:
        fire(str(name), payload)

    assert len(told(refused)) == len(faults)
    assert all(one.startswith(fault) for one, fault in zip(told(refused), faults, strict=True)), told(refused)
    assert seen == []


class Card(msgspec.Struct, tag="card", forbid_unknown_fields=True):
    number: str
    year: int = 0


class Bill(msgspec.Struct, tag="bill"):
    lines: list[Item] | dict[str, Item] = []


@dataclass
class Page(Generic[T]):
    first: T
    more: list[T] = field(default_factory=list)


@pytest.mark.parametrize(
    ("kind", "payload", "faults"),
    [
        (
            Card | Bill,
            {"type": "card", "number": 1, "year": "x", "name": "ada"},
            [
                "payload.name is no field of Card",
                "payload.number is 1: expected str",
                "payload.year is 'x': expected int",
            ],
        ),
        (
            Card | Bill,
            {"type": "bill", "lines": [{"sku": 1, "quantity": 1}, 2]},
            ["payload.lines[0].sku is 1: expected str", "payload.lines[1] is 2: expected Item"],
        ),
        (
            Card | Bill,
            {"type": "bill", "lines": {"a": {"sku": 1, "quantity": 1}}},
            ["payload.lines['a'].sku is 1: expected str"],
        ),
        (Card | Bill, {"type": "cash"}, ["payload.type is wrong: invalid value 'cash'"]),
        (Item | str, [1], ["payload is [1]: expected str | object"]),
        (
            Page[Item],
            {"first": {"sku": "a"}, "more": ["x", {"sku": 1, "quantity": 1}]},
            [
                "payload.first.quantity is missing: expected int",
                "payload.more[0] is 'x': expected Item",
                "payload.more[1].sku is 1: expected str",
            ],
        ),
    ],
)
def test_each_fault_is_found_in_unions_generic_classes_and_among_unknown_fields(
    events_manager: EventsManager, kind: Any, payload: Any, faults: list[str]
) -> None:
    events_manager.register(EventName("paid.somehow", kind))

    with pytest.raises(PayloadInvalid) as refused:
        events_manager.emit("paid.somehow", payload)

    assert told(refused) == faults


def test_a_payload_with_many_faults_is_told_in_part(events_manager: EventsManager, seen: list[Any]) -> None:
    with pytest.raises(PayloadInvalid) as refused:
        events_manager.emit("counted", {str(number): "x" for number in range(1000)})

    assert len(refused.value.faults) == 100
    assert str(refused.value).endswith("; and 80 more.")


def test_a_payload_that_contains_itself_is_refused(events_manager: EventsManager) -> None:
    nested: dict[str, Any] = {"path": "x"}
    nested["owner"] = nested
    events_manager.register(FILE_UPLOADED)

    with pytest.raises(PayloadInvalid, match="payload.owner is"):
        events_manager.emit("file.uploaded", nested)


def test_a_refusal_can_be_sent_to_another_process(events_manager: EventsManager, seen: list[Any]) -> None:
    with pytest.raises(PayloadInvalid) as refused:
        events_manager.emit("counted", {"a": "x"})

    again = pickle.loads(pickle.dumps(refused.value))
    assert (str(again), again.faults) == (str(refused.value), refused.value.faults)


async def fire_async(name: str, payload: Any) -> None:
    await ctx.events.fire_async(Event(name, payload))


async def emit_async(name: str, payload: Any) -> None:
    await ctx.events.emit_async(name, payload)


@pytest.mark.parametrize("fire_it", [fire_async, emit_async])
def test_the_awaitable_twins_check_it_too(app: Flask, in_app: None, seen: list[Any], fire_it: Any) -> None:
    with pytest.raises(PayloadInvalid):
        app.ensure_sync(fire_it)("order.completed", {})
    app.ensure_sync(fire_it)("order.completed", ORDER)

    assert seen == [OrderCompleted(7, [Item("a", 2)])]


def test_a_name_that_nobody_registered_is_checked_by_its_constant(events_manager: EventsManager) -> None:
    assert events_manager.emit(ORDER_COMPLETED, ORDER).payload == OrderCompleted(7, [Item("a", 2)])  # type: ignore[arg-type]  # a dict is what is tried
    with pytest.raises(PayloadInvalid):
        events_manager.emit(ORDER_COMPLETED, {"order_id": 1})  # type: ignore[arg-type]  # likewise
    events_manager.emit("order.completed", {"order_id": "anything"})


def test_the_type_comes_with_the_first_typed_registration_and_stays_with_the_name(
    events_manager: EventsManager, in_app: None, ran: list[Any], app: Flask
) -> None:
    def job(event: Event[Any], ctx: Context) -> None:
        ran.append(event.payload)

    with app.test_request_context():
        events_manager.register("order.completed", job)
        ctx.events.fire(Event("order.completed", "anything"))
        events_manager.register(ORDER_COMPLETED)
        with pytest.raises(PayloadInvalid):
            ctx.events.fire(Event("order.completed", "anything"))
        events_manager.unregister("order.completed", job)
        with pytest.raises(PayloadInvalid):
            ctx.events.fire(Event("order.completed", "anything"))

    assert ran == ["anything"]


def test_one_name_with_two_types_is_refused_with_both_places(events_manager: EventsManager, ran: list[Any]) -> None:
    def job(event: Event[Any], ctx: Context) -> None:
        ran.append(event.payload)

    events_manager.register(ORDER_COMPLETED)
    events_manager.register(EventName("order.completed", OrderCompleted))
    with pytest.raises(EventTypedTwice) as refused:
        events_manager.register(EventName("order.completed", Paid), job)

    places = [f"{kind} at {__file__}:" for kind in ("OrderCompleted", "Paid")]
    assert all(place.replace("Paid at", "Paid at") in str(refused.value) for place in places)
    events_manager.emit("order.completed", ORDER)
    assert ran == []


def test_each_app_has_types_of_its_own(events_manager: EventsManager) -> None:
    other = Flask("other")
    Condor(other)
    other.extensions["condor"].register("order.completed")
    events_manager.register(ORDER_COMPLETED)

    other.extensions["condor"].emit("order.completed", "anything")


def test_a_type_that_nothing_can_be_checked_against_is_refused_when_it_is_registered(
    events_manager: EventsManager,
) -> None:
    with pytest.raises(PayloadTypeInvalid, match="event 'x' has the payload type 3, which cannot be checked"):
        events_manager.register(EventName("x", 3))  # type: ignore[arg-type]  # that is what is tried
    with pytest.raises(CondorError, match="is not registered"):
        events_manager.fire(Event("x"))


def test_a_disabled_or_muted_event_is_not_checked_beyond_its_name(
    events_manager: EventsManager, app: Flask, seen: list[Any]
) -> None:
    with app.test_request_context(), events_manager.disable():
        ctx.events.fire(Event("order.completed", "anything"))

    assert seen == []


def test_a_job_that_fails_is_told_without_the_check(events_manager: EventsManager, app: Flask, seen: list[Any]) -> None:
    def fail(event: Event[Any], ctx: Context) -> None:
        raise PayloadInvalid("of another event", [])

    events_manager.register(FILE_UPLOADED, fail)

    with app.test_request_context():
        for _ in range(2):
            with pytest.raises(JobsFailed) as failed:
                ctx.events.fire(Event("file.uploaded", {"path": "x"}))
            assert [job for job, _ in failed.value.failures] == ["fail"]
            assert str(failed.value).startswith("1 of 2 jobs") and "; done: see" in str(failed.value)
    assert len(seen) == 2


def test_an_event_is_as_free_to_be_fired_after_a_refusal(app: Flask, seen: list[Any]) -> None:
    with app.test_request_context():
        ctx.events.fire(Event("counted", {"a": 1}))
        with pytest.raises(PayloadInvalid):
            ctx.events.fire(Event("counted", {"a": "x"}))
        event = ctx.events.fire(Event("counted", {"a": 2}))

    assert (event.depth, event.cause, seen) == (1, None, [{"a": 1}, {"a": 2}])


def test_an_untyped_name_takes_anything_and_hands_on_the_very_value(
    events_manager: EventsManager, app: Flask, seen: list[Any]
) -> None:
    user, values = User(), []
    events_manager.register("untyped", lambda event, ctx: values.append(event.payload["user"]))

    with app.test_request_context():
        ctx.events.fire(Event("untyped", {"user": user}))
        ctx.events.fire(Event("untyped", {"user": user}))

    assert [value is user for value in values] == [True, True]


def test_deferred_jobs_see_the_same_object(events_manager: EventsManager, app: Flask) -> None:
    seen: list[Any] = []

    def see(event: Event[Any], ctx: Context) -> None:
        seen.append(event.payload)

    def see_later(event: Event[Any], ctx: Context) -> None:
        seen.append(event.payload)

    events_manager.register(ORDER_COMPLETED, see)
    events_manager.register(ORDER_COMPLETED, see_later, run="after_response")
    app.add_url_rule("/", view_func=lambda: ctx.events.emit("order.completed", ORDER).id)

    app.test_client().get("/")

    assert seen == [OrderCompleted(7, [Item("a", 2)])] * 2
    assert seen[0] is seen[1]


@pytest.mark.parametrize("name", [None, 1, OrderCompleted])
def test_a_typed_name_that_is_no_text_is_refused_where_it_is_made(name: Any) -> None:
    with pytest.raises(EventInvalid, match=r"an event's name is a str, got "):
        EventName(name, OrderCompleted)


def test_a_typed_name_is_the_text_that_it_names() -> None:
    again = [copy.copy(COUNTED), copy.deepcopy(COUNTED), pickle.loads(pickle.dumps(COUNTED))]

    assert COUNTED == "counted" and hash(COUNTED) == hash("counted") and repr(COUNTED) == "'counted'"
    assert [(one, type(one), one.payload_type) for one in again] == [("counted", EventName, dict[str, int])] * 3


def test_a_fake_holds_what_the_jobs_would_have_seen_and_nothing_that_is_refused(events_manager: EventsManager) -> None:
    events_manager.register(ORDER_COMPLETED)

    with FakeEvents(events_manager.app) as fake:
        with pytest.raises(PayloadInvalid):
            events_manager.emit("order.completed", {})
        events_manager.emit("order.completed", ORDER)
        fake.assert_fired("order.completed", payload=OrderCompleted(7, [Item("a", 2)]), times=1)
