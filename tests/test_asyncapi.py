"""`flask events asyncapi`: a document that the published schema of AsyncAPI 3.0.0 accepts, whatever is registered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Annotated
from typing import Any
from typing import Literal
from typing import NotRequired
from typing import TypedDict

import attrs
import msgspec
import pydantic
import pytest
from flask import Flask
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventName
from flask_condor import EventsManager
from jsonschema import Draft7Validator

from app import create_app

SCHEMA = Path(__file__).parent / "data" / "asyncapi" / "3.0.0-without-id.json"


@dataclass
class Item:
    sku: str
    quantity: int = 1


@dataclass
class Order:
    """What was bought."""

    items: list[Item]
    at: datetime
    total: Annotated[Decimal, msgspec.Meta(description="In euros.")]
    place: tuple[float, float] | None = None


class Uploaded(TypedDict):
    path: str
    owner: NotRequired[int]


class Paid(msgspec.Struct, tag=True):
    order: Order


@attrs.define
class Verified:
    email: str


class Line(pydantic.BaseModel):
    sku: str


class Cart(pydantic.BaseModel):
    lines: list[Line]


class User:
    pass


class PasswordChanged(TypedDict):
    user: User
    cart: Cart


class ByCard(msgspec.Struct, tag="card"):
    number: str


class ByBill(msgspec.Struct, tag="bill"):
    discriminator: int


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]


class Adopted(pydantic.BaseModel):
    pet: Annotated[Cat | Dog, pydantic.Field(discriminator="kind")]


class Shelf(pydantic.BaseModel):
    class Item(pydantic.BaseModel):
        name: str

    items: list[Item]


class Window(pydantic.BaseModel):
    class Item(pydantic.BaseModel):
        isbn: str

    items: list[Item]


class Held(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    user: User


@dataclass
class Given:
    user: Any = User()


TYPES: tuple[Any, ...] = (
    *(Order, Uploaded, Paid, Verified, Cart, PasswordChanged, dict[str, int], list[Item], int),
    *(ByCard | ByBill, Adopted, Held, Given, list[Given]),
)


def send_mail(event: Event[Any], ctx: Context) -> None: ...


@cache
def validator() -> Draft7Validator:
    return Draft7Validator(json.loads(SCHEMA.read_text()))


def document_of(app: Flask) -> Any:
    result = app.test_cli_runner().invoke(args=["events", "asyncapi"])
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def faults_in(document: Any) -> list[str]:
    return [f"{error.json_path}: {error.message[:200]}" for error in validator().iter_errors(document)]


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for inner in part.values():
            yield from references(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from references(inner)


def resolve(document: Any, reference: str) -> Any:
    found = document
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def test_a_document_of_events_of_every_type_is_valid_and_its_references_lead_somewhere(
    app: Flask, events_manager: EventsManager
) -> None:
    for number, kind in enumerate(TYPES):
        events_manager.register(EventName(f"typed.{number}", kind), send_mail)
    events_manager.register("untyped")

    document = document_of(app)

    assert faults_in(document) == []
    assert len(document["channels"]) == len(document["operations"]) == len(TYPES) + 1
    assert all(resolve(document, reference) for reference in references(document))


def test_an_event_is_a_channel_with_a_message_and_an_operation_that_names_its_jobs(
    app: Flask, events_manager: EventsManager
) -> None:
    events_manager.register(EventName("file.uploaded", Uploaded), send_mail, run="after_response")
    events_manager.register("untyped")

    document = document_of(app)

    assert document["info"] == {"title": "test", "version": "0.0.0"}
    payload = document["channels"]["file.uploaded"]["messages"]["file.uploaded"]["payload"]
    assert resolve(document, payload["$ref"])["required"] == ["path"]
    assert document["operations"]["file.uploaded"] == {
        "action": "receive",
        "channel": {"$ref": "#/channels/file.uploaded"},
        "messages": [{"$ref": "#/channels/file.uploaded/messages/file.uploaded"}],
        "description": "Runs tests.test_asyncapi:send_mail (after_response).",
    }
    assert document["operations"]["untyped"]["action"] == "send"
    assert "type" not in document["channels"]["untyped"]["messages"]["untyped"]["payload"]


def test_models_of_one_name_in_several_types_are_kept_apart(app: Flask, events_manager: EventsManager) -> None:
    for number, kind in enumerate((Item, Shelf, Window)):
        events_manager.register(EventName(f"typed.{number}", kind))

    document = document_of(app)

    assert faults_in(document) == []
    items = [resolve(document, reference) for reference in references(document) if reference.endswith("Item")]
    assert [set(item["properties"]) for item in items] == [{"sku", "quantity"}, {"name"}, {"isbn"}]


def test_names_that_no_reference_can_hold_are_kept_apart(app: Flask, events_manager: EventsManager) -> None:
    names = ["a/b", "a b", "a_b", "ä~%", "\x1b[31m"]
    for name in names:
        events_manager.register(name)

    document = document_of(app)

    assert faults_in(document) == []
    assert [channel["address"] for channel in document["channels"].values()] == names
    assert all(resolve(document, reference) for reference in references(document))
    assert "\x1b" not in app.test_cli_runner().invoke(args=["events", "asyncapi"]).output


def test_an_app_without_events_has_an_empty_document(app: Flask) -> None:
    assert faults_in(document_of(app)) == []


def test_the_sample_s_document_is_valid(tmp_path: Path) -> None:
    document = document_of(create_app({"DATABASE_URL": f"sqlite:///{tmp_path / 'app.db'}"}))

    assert faults_in(document) == []
    assert "user.registered" in document["channels"]


@pytest.mark.parametrize("broken", [{"asyncapi": "2.0.0"}, {"info": {}}, {"channels": {"x": {"address": 3}}}])
def test_the_published_schema_refuses_what_is_wrong(app: Flask, broken: dict[str, Any]) -> None:
    assert faults_in(document_of(app) | broken)


def test_an_app_without_condor_is_told_so() -> None:
    from flask_condor.cli import events

    result = Flask("bare").test_cli_runner().invoke(events, ["asyncapi"])

    assert result.exit_code == 2 and "Condor" in result.output and "Traceback" not in result.output
