"""Only type-checked, by mypy --strict and by pyright: each line with an ignore is one that both must refuse."""

# pyright: reportUnnecessaryTypeIgnoreComment=true
from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from typing import NotRequired
from typing import TypedDict
from typing import assert_type

import msgspec
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventName
from flask_condor import EventsManager
from flask_condor import ctx


@dataclass
class UserRegistered:
    id: int
    email: str


@dataclass
class OrderCompleted:
    id: int
    email: str


class Uploaded(TypedDict):
    path: str
    owner: NotRequired[int]


class Paid(msgspec.Struct):
    total: float


USER_REGISTERED = EventName("user.registered", UserRegistered)
FILE_UPLOADED = EventName("file.uploaded", Uploaded)
ORDER_PAID = EventName("order.paid", Paid)
COUNTED = EventName("counted", dict[str, int])
PASSWORD_CHANGED = "password-changed"

ada = UserRegistered(1, "ada@example.com")


def greet(event: Event[UserRegistered], ctx: Context) -> None:
    assert_type(event.payload, UserRegistered)
    assert_type(event.data, UserRegistered)


def pack(event: Event[OrderCompleted], ctx: Context) -> None:
    assert_type(event.payload.email, str)


def index(event: Event[Uploaded], ctx: Context) -> None:
    assert_type(event.payload["path"], str)


def audit(event: Event, ctx: Context) -> None:
    assert_type(event.payload, Any)


async def greet_later(event: Event[UserRegistered], ctx: Context) -> None: ...


def right(events_manager: EventsManager, text: str) -> None:
    assert_type(Event(USER_REGISTERED, ada), Event[UserRegistered])
    assert_type(Event(FILE_UPLOADED, {"path": "a.txt"}), Event[Uploaded])
    assert_type(Event(FILE_UPLOADED, {"path": "a.txt", "owner": 1}), Event[Uploaded])
    assert_type(Event(ORDER_PAID, Paid(9.5)), Event[Paid])
    assert_type(Event(COUNTED, {"a": 1}), Event[dict[str, int]])
    assert_type(Event(PASSWORD_CHANGED, {"a": 1}), Event[dict[str, int]])
    assert_type(ctx.events.fire(Event(USER_REGISTERED, ada)), Event[UserRegistered])
    assert_type(ctx.events.fire(Event(FILE_UPLOADED, {"path": "a.txt"})), Event[Uploaded])
    assert_type(ctx.events.emit(USER_REGISTERED, ada), Event[UserRegistered])
    ctx.events.emit(FILE_UPLOADED, {"path": "a.txt"}, id="one", delay={"hours": 1})
    text.join(USER_REGISTERED)
    ctx.events.emit(text, {"anything": object()})
    ctx.events.emit(PASSWORD_CHANGED)
    ctx.events.fire(Event(PASSWORD_CHANGED))
    events_manager.register(USER_REGISTERED)
    events_manager.register(USER_REGISTERED, greet, greet_later, audit, run="queued", priority=1)
    events_manager.register(FILE_UPLOADED, index)
    events_manager.register(PASSWORD_CHANGED, greet, pack, audit, run="after_commit")


async def right_async() -> None:
    assert_type(await ctx.events.emit_async(USER_REGISTERED, ada), Event[UserRegistered])
    await ctx.events.emit_async(PASSWORD_CHANGED, {"user": ada})


def wrong(events_manager: EventsManager) -> None:
    Event(USER_REGISTERED, {"wrong": 1})  # type: ignore[arg-type]
    Event(USER_REGISTERED, OrderCompleted(1, "ada"))  # type: ignore[arg-type]
    Event(USER_REGISTERED, None)  # type: ignore[arg-type]
    Event(USER_REGISTERED)  # type: ignore[call-overload]
    Event(FILE_UPLOADED, {"wrong": 1})  # type: ignore[arg-type]
    Event(FILE_UPLOADED, {"path": 1})  # type: ignore[arg-type]
    Event(ORDER_PAID, ada)  # type: ignore[arg-type]
    Event(COUNTED, {"a": "b"})  # type: ignore[dict-item]
    ctx.events.fire(Event(USER_REGISTERED, {"wrong": 1}))  # type: ignore[arg-type]
    ctx.events.fire(Event(USER_REGISTERED, OrderCompleted(1, "ada")))  # type: ignore[arg-type]
    ctx.events.fire(Event(USER_REGISTERED, None), delay=60)  # type: ignore[arg-type]
    ctx.events.fire(Event(FILE_UPLOADED, {"path": 1}))  # type: ignore[arg-type]
    ctx.events.fire("user.registered")  # type: ignore[arg-type]
    ctx.events.emit(USER_REGISTERED, {"wrong": 1})  # type: ignore[arg-type]
    ctx.events.emit(USER_REGISTERED, OrderCompleted(1, "ada"))  # type: ignore[arg-type]
    ctx.events.emit(USER_REGISTERED)  # type: ignore[call-overload]
    ctx.events.emit(FILE_UPLOADED, {"path": 1})  # type: ignore[arg-type]
    events_manager.register(USER_REGISTERED, pack)  # type: ignore[arg-type]
    events_manager.register(USER_REGISTERED, greet, pack)  # type: ignore[arg-type]
    events_manager.register(USER_REGISTERED, greet, run="later")  # type: ignore[call-overload]


async def wrong_async() -> None:
    await ctx.events.emit_async(USER_REGISTERED, {"wrong": 1})  # type: ignore[arg-type]
    await ctx.events.fire_async(Event(USER_REGISTERED, {"wrong": 1}))  # type: ignore[arg-type]
    await ctx.events.emit_async(FILE_UPLOADED, {"wrong": 1})  # type: ignore[arg-type]


def wrong_job(event: Event[UserRegistered], ctx: Context) -> None:
    event.payload.mail  # type: ignore[attr-defined]
    event.payload["email"]  # type: ignore[index]
    event.payload = ada  # type: ignore[misc]
