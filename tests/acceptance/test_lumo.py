"""The Lumo page's program: events are emitted by a handler, and worked on elsewhere, whatever becomes of that."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC
from datetime import datetime

import pytest

from tests.acceptance.programs import Delivery
from tests.acceptance.programs import Program
from tests.acceptance.programs import served

ADA = {"name": "Ada", "email": "ada@example.com"}
DECLARED = {"id", "name", "email", "registeredAt"}


@pytest.fixture(scope="module")
def lumo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("lumo")
    with served("tests.acceptance.lumo.app", folder, MAY_END=folder / "may_end") as program, program.working():
        yield program


def test_who_registers_is_answered_with_their_data_and_the_event_has_the_four_declared_fields(lumo: Program) -> None:
    before = datetime.now(UTC)
    status, user = lumo.post("/api/users/register", {**ADA, "id": "1", "registeredAt": "never", "plan": "free"})

    assert status == 201 and user == {**ADA, "id": user["id"], "registeredAt": user["registeredAt"], "plan": "free"}
    assert isinstance(user["id"], str) and user["id"] not in ("", "1")
    registered_at = datetime.fromisoformat(user["registeredAt"])
    assert registered_at.utcoffset() == datetime.now(UTC).utcoffset() and before <= registered_at <= datetime.now(UTC)
    _, name, payload, _ = lumo.events()[-1]
    assert name == "user.registered" and payload == {field: user[field] for field in DECLARED}


def test_a_failing_and_a_slow_subscriber_change_neither_the_status_nor_the_answer(lumo: Program) -> None:
    def subscriber(name: str) -> Delivery:
        return lumo.deliveries("user.registered")[name]

    status, user = lumo.post("/api/users/register", ADA)
    assert status == 201 and user.keys() == DECLARED

    lumo.wait_for(lambda: subscriber("make_avatar").state == "running")
    lumo.wait_for(lambda: "the CRM is down" in (subscriber("tell_crm").error or ""))
    lumo.wait_for(lambda: subscriber("send_welcome_email").state == "done")
    assert subscriber("make_avatar").state == "running"

    (lumo.folder / "may_end").touch()
    lumo.wait_for(lambda: subscriber("make_avatar").state == "done")
    assert subscriber("send_welcome_email").result == {"to": "ada@example.com", "about": "user.registered"}


def test_a_list_of_objects_in_a_payload_reaches_the_subscriber_as_it_is(lumo: Program) -> None:
    items = [{"id": "pen", "quantity": 2}, {"id": "ink", "quantity": 1}]

    status, order = lumo.post("/api/orders/o-1/complete", {"total": 12.5, "items": items})
    lumo.wait_for(lambda: lumo.deliveries("order.completed")["count_items"].state == "done")

    assert status == 200 and (order["orderId"], order["total"], order["items"]) == ("o-1", 12.5, items)
    assert [payload for _, name, payload, _ in lumo.events() if name == "order.completed"] == [order]
    assert lumo.deliveries("order.completed")["count_items"].result == {"pen": 2, "ink": 1}
