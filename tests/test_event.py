"""The event: frozen, one id, one time, two spellings."""

from __future__ import annotations

import copy
import pickle
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable
from datetime import UTC
from datetime import datetime
from datetime import timedelta
from uuid import UUID

import pytest
from flask_condor import Event


def test_an_event_has_a_name_and_a_payload_under_two_spellings() -> None:
    event = Event("user.registered", {"name": "Ada"})

    assert (event.name, event.payload) == ("user.registered", {"name": "Ada"})
    assert (event.type, event.data) == ("user.registered", {"name": "Ada"})


def test_the_payload_is_the_very_object_given() -> None:
    user = object()

    assert Event("user.registered", {"user": user}).payload["user"] is user


@pytest.mark.parametrize("field", ["name", "payload", "id", "fired_at", "depth", "anything"])
def test_an_event_is_frozen(field: str) -> None:
    with pytest.raises(AttributeError):
        setattr(Event("user.registered"), field, "other")


def test_the_id_is_a_uuid7_of_the_time_of_the_event_made_on_first_use() -> None:
    event = Event("user.registered")
    time.sleep(0.01)

    identifier = UUID(event.id)

    assert (identifier.version, identifier.variant) == (7, "specified in RFC 4122")
    assert identifier.int >> 80 == int(event.fired_at.timestamp() * 1000)


def test_an_event_keeps_its_id() -> None:
    event = Event("user.registered")

    assert event.id == event.id


def test_a_given_id_is_kept() -> None:
    assert Event("order.completed", id="order-17").id == "order-17"


def test_ids_sort_by_time_and_do_not_repeat() -> None:
    ids = [Event("x").id for _ in range(10_000)]

    assert len(set(ids)) == 10_000
    assert [one[:13] for one in ids] == sorted(one[:13] for one in ids)


def test_threads_that_read_a_new_id_at_once_read_the_same() -> None:
    def read(event: Event[None], barrier: threading.Barrier, seen: list[str]) -> None:
        barrier.wait()
        seen.append(event.id)

    for _ in range(50):
        event, barrier = Event("x"), threading.Barrier(4)
        seen: list[str] = []
        threads = [threading.Thread(target=read, args=(event, barrier, seen)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert Counter(seen) == {event.id: 4}


def test_fired_at_is_now_in_utc() -> None:
    before = datetime.now(UTC)
    event = Event("user.registered")

    assert event.fired_at.tzinfo is UTC
    assert before <= event.fired_at <= datetime.now(UTC) + timedelta(microseconds=1)  # it is rounded


def test_events_are_compared_by_identity_and_can_be_weakly_referenced() -> None:
    event: Event[dict[str, str]] = Event("user.registered", {})

    assert event != Event("user.registered", {})
    assert event in {event}
    assert weakref.ref(event)() is event


def test_an_event_can_be_annotated_with_the_type_of_its_payload() -> None:
    event: Event[dict[str, int]] = Event("order.completed", {"total": 3})

    assert event.payload["total"] == 3


def test_an_event_shows_its_name_and_payload() -> None:
    assert repr(Event("order.completed", {"total": 3})) == "Event('order.completed', {'total': 3})"


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda event: pickle.loads(pickle.dumps(event))])
def test_a_copy_is_the_same_event(again: Callable[[Event], Event]) -> None:
    event = Event("order.completed", {"total": 3})
    other = again(event)

    assert (other.id, other.fired_at, other.payload) == (event.id, event.fired_at, event.payload)
