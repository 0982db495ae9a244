"""A typed payload in the queue: a worker's job gets the declared type again, equal to what was fired, or nothing is."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import field
from datetime import UTC
from datetime import date
from datetime import datetime
from decimal import Decimal
from typing import Any
from typing import TypedDict
from uuid import UUID

import attrs
import msgspec
import pydantic
import pytest
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventName
from flask_condor import EventsManager
from flask_condor import ctx
from flask_condor.errors import OperationRefused
from flask_condor.errors import PayloadNotSerializable
from flask_condor.faults import PayloadInvalid
from flask_condor.log_state import unknown_jobs
from flask_condor.log_state import unread_payloads
from flask_condor.models import attempts
from flask_condor.models import deliveries
from flask_condor.models import events
from flask_condor.payload import to_json
from sqlalchemy import select
from sqlalchemy import update
from sqlalchemy.engine import Row

NOON = datetime(2026, 11, 21, 12, 0, 0, 5, tzinfo=UTC)


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Item:
    price: Decimal
    colour: Colour | None = None


@dataclass(eq=False)
class Order:
    id: UUID
    at: datetime
    items: list[Item]
    notes: dict[int, str] = field(default_factory=dict)
    tags: set[str] = field(default_factory=set)
    any: Any = None
    rate: float = 0.0
    day: tuple[date, ...] = ()


class Paid(msgspec.Struct, rename="camel"):
    order_id: UUID
    paid_at: datetime


@attrs.define
class Verified:
    at: datetime
    item: Item


class Cart(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True)

    at: datetime
    colour: Colour
    price: Decimal = Decimal("0.10")
    name: str = pydantic.Field("", alias="cartName")


class Uploaded(TypedDict):
    path: str


class Scheduled(TypedDict):
    at: datetime
    cart: Cart


ORDERED = EventName("ordered", Order)
PAID = EventName("paid", Paid)
VERIFIED = EventName("verified", Verified)
FILLED = EventName("filled", Cart)
UPLOADED = EventName("uploaded", Uploaded)
SCHEDULED = EventName("scheduled", Scheduled)
COUNTED = EventName("counted", dict[str, int])

ID = UUID(int=7)
seen: list[Any] = []


def see(event: Event[Any], ctx: Context) -> None:
    seen.append(event.payload)


def see_now(event: Event[Any], ctx: Context) -> None:
    seen.append(event.payload)


@pytest.fixture(autouse=True)
def nothing_seen() -> Iterator[None]:
    seen.clear()
    yield
    seen.clear()


@pytest.fixture
def manager(durable_manager: EventsManager) -> EventsManager:
    for name in (ORDERED, PAID, VERIFIED, FILLED, UPLOADED, SCHEDULED, COUNTED):
        durable_manager.register(name, see, run="queued")
    return durable_manager


def run_what_is_due(manager: EventsManager) -> None:
    result = manager.app.test_cli_runner().invoke(args=["events", "worker", "--once"])
    assert result.exit_code == 0, result.output


def rows(manager: EventsManager, table: Any = deliveries) -> list[Row[Any]]:
    with manager.log.read() as connection:
        return list(connection.execute(select(table)))


def full_order(**changes: Any) -> Order:
    order = Order(ID, NOON, [Item(Decimal("9.90"), Colour.RED)], {1: "one"}, {"new"}, {"x": [1, None]}, 0.5)
    order.day = (date(2026, 11, 21),)
    for name, value in changes.items():
        setattr(order, name, value)
    return order


def same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and (vars(one) == vars(other) if isinstance(one, Order) else one == other)


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        (ORDERED, full_order()),
        (PAID, Paid(ID, NOON)),
        (VERIFIED, Verified(NOON, Item(Decimal(1)))),
        (FILLED, Cart(at=NOON, colour=Colour.RED, cartName="ada's")),
        (UPLOADED, {"path": "a.txt", "undeclared": [1]}),
        (SCHEDULED, {"at": NOON, "cart": Cart(at=NOON, colour=Colour.RED, cartName="")}),
        (COUNTED, {"a": 1}),
    ],
)
def test_a_queued_job_gets_the_declared_type_equal_to_what_was_fired(
    manager: EventsManager, name: EventName[Any], payload: Any
) -> None:
    manager.register(name, see_now)
    manager.fire(Event(name, payload))
    run_what_is_due(manager)

    assert seen[0] is payload
    assert len(seen) == 2 and same(seen[1], payload)


def test_a_dict_that_stands_for_a_type_is_that_type_for_every_job(manager: EventsManager) -> None:
    manager.register(PAID, see_now)
    manager.emit("paid", {"orderId": str(ID), "paidAt": "2026-11-21T12:00:00.000005Z"})
    run_what_is_due(manager)

    assert seen == [Paid(ID, NOON)] * 2


def test_a_delayed_event_and_one_that_blinker_sends_are_typed_too(manager: EventsManager) -> None:
    manager.emit("paid", {"orderId": str(ID), "paidAt": NOON}, delay=0)
    with manager.app.app_context():
        manager.signal("paid").send(Event("paid", {"orderId": str(ID), "paidAt": NOON}), ctx=ctx)
    run_what_is_due(manager)

    assert seen == [Paid(ID, NOON)] * 2


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        (full_order(any=NOON), "payload.any is datetime.datetime"),
        (full_order(any=(1, 2)), r"payload.any is \(1, 2\), a tuple, which JSON gives back as \[1, 2\], a list"),
        (full_order(any={"x": [object()]}), r"payload.any\['x'\]\[0\] is <object"),
        (full_order(rate=math.nan), "payload.rate is nan, which JSON has no word for"),
        (full_order(items=[Item(Decimal("NaN"))]), r"payload.items\[0\].price is Decimal\('NaN'\)"),
        (full_order(notes={1: "half \ud800"}), r"payload.notes\[1\] is .*, a text with half a character"),
    ],
)
def test_what_json_would_change_is_refused_by_its_path_and_nothing_runs(
    manager: EventsManager, payload: Any, told: str
) -> None:
    manager.register(ORDERED, see_now)

    with pytest.raises(PayloadNotSerializable, match=told):
        manager.fire(Event(ORDERED, payload))

    assert (seen, rows(manager, events)) == ([], [])


def test_what_contains_itself_is_refused(manager: EventsManager) -> None:
    order = full_order()
    order.any = [order]

    with pytest.raises(PayloadNotSerializable, match="nested more than 100 deep, or contains itself"):
        manager.fire(Event(ORDERED, order))


def test_an_instance_with_wrong_fields_is_refused_when_it_is_to_be_queued(manager: EventsManager) -> None:
    with pytest.raises(PayloadInvalid, match="payload.id is 'x': invalid UUID; payload.rate is 'y': expected float"):
        manager.fire(Event(ORDERED, full_order(id="x", rate="y")))

    assert rows(manager, events) == []


@pytest.mark.parametrize("fire", [lambda m: m.emit("paid", {}), lambda m: m.emit("paid", {}, delay=60)])
def test_a_wrong_payload_queues_nothing(manager: EventsManager, fire: Callable[[EventsManager], object]) -> None:
    with pytest.raises(PayloadInvalid):
        fire(manager)

    assert rows(manager, events) == []


def test_a_stored_payload_of_another_type_waits_alone_for_a_release_that_can_read_it(manager: EventsManager) -> None:
    manager.emit("counted", {"a": 1})
    manager.emit("paid", {"orderId": str(ID), "paidAt": NOON})
    with manager.log.begin() as connection:
        connection.execute(update(events).where(events.c.name == "paid").values(payload='{"orderId": 1}'))
    run_what_is_due(manager)

    found = {row.state: row.error for row in rows(manager)}
    assert found.keys() == {"done", "pending"}
    assert found["pending"].startswith(
        "PayloadInvalid: the payload of event 'paid' is not what its EventName says:"
        " payload.orderId is 1: expected uuid; payload.paidAt is missing: expected datetime."
    )
    assert seen == [{"a": 1}]
    with manager.log.read() as connection:
        assert [(name, str(count)) for name, _, count in unread_payloads(connection)] == [("paid", "1")]
        assert unknown_jobs(connection, manager.registry) == []
        assert connection.execute(select(attempts)).all() == []
    with manager.log.begin() as connection:
        (parked,) = connection.execute(select(deliveries).where(deliveries.c.state == "pending")).all()
        connection.execute(update(events).values(payload=to_json({"orderId": str(ID), "paidAt": NOON.isoformat()})))
        connection.execute(update(deliveries).where(deliveries.c.id == parked.id).values(due_at=parked.due_at - 61))
    run_what_is_due(manager)

    ran = next(row for row in rows(manager) if row.id == parked.id)
    assert (parked.attempt, parked.worker, ran.attempt, ran.state, ran.error) == (0, None, 1, "done", None)
    assert seen[1:] == [Paid(ID, NOON)]


def test_a_replay_is_of_the_declared_type(manager: EventsManager) -> None:
    event = manager.fire(Event(PAID, Paid(ID, NOON)))
    replayed = manager.replay(event.id)
    run_what_is_due(manager)

    assert [replayed.payload, *seen] == [Paid(ID, NOON)] * 3


def test_a_recorded_run_can_be_replayed_with_its_declared_type(durable_manager: EventsManager) -> None:
    durable_manager.register(ORDERED, see)
    event = durable_manager.fire(Event(ORDERED, full_order()))
    seen[0].items.clear()
    assert durable_manager.queueing.recorder.flush(60)
    durable_manager.replay(event.id)
    run_what_is_due(durable_manager)

    assert len(seen) == 2 and same(seen[1], full_order())


def test_a_recorded_run_whose_payload_json_would_change_cannot_be_replayed(durable_manager: EventsManager) -> None:
    durable_manager.register(ORDERED, see)
    event = durable_manager.fire(Event(ORDERED, full_order(any=object())))
    assert durable_manager.queueing.recorder.flush(60)

    assert len(seen) == 1
    with pytest.raises(OperationRefused, match="its payload was no JSON"):
        durable_manager.replay(event.id)


def test_a_schedule_has_the_type_of_its_name(manager: EventsManager) -> None:
    manager.schedule(PAID, "0 9 * * *", Paid(ID, NOON))
    manager.check_schedules()
    with pytest.raises(PayloadInvalid, match="payload is None: expected Paid"):
        manager.schedule("paid", "0 9 * * *")

    [schedule] = manager.schedules
    assert (schedule.name, schedule.payload) == ("paid", f'{{"orderId":"{ID}","paidAt":"2026-11-21T12:00:00.000005Z"}}')


def test_a_schedule_that_was_made_before_its_name_was_typed_is_checked_at_start(manager: EventsManager) -> None:
    manager.schedule("later", "0 9 * * *", {"a": "x"})
    manager.register(EventName("later", dict[str, int]), see)

    with pytest.raises(PayloadInvalid, match=r"payload\['a'\] is 'x': expected int"):
        manager.check_schedules()
