"""Incoming CloudEvents 1.0, over HTTP in the structured, binary or batch mode: read strictly, each rule said by name.

An event's name is the ``type``, its payload is the ``data``, which is JSON. Its id is made of ``source`` and ``id``,
which only together are unique. The ``subject`` is kept; the other attributes, extensions too, are checked and not kept.
"""

from __future__ import annotations

import re
import typing as t
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import unquote
from uuid import NAMESPACE_URL
from uuid import uuid5

import msgspec
from werkzeug.datastructures import Headers
from werkzeug.http import unquote_header_value

from ..errors import shorten
from .incoming import LONGEST
from .incoming import Form
from .incoming import Incoming
from .incoming import refuse_text
from .rejection import Rejected
from .strict_json import MOST_KEYS
from .strict_json import keys_in
from .strict_json import parse
from .strict_json import too_many_keys

MOST_EVENTS = 100
"""In one batch."""

URI_PART = r"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})"
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
JSON_TYPE = r"^[^/;\s]+/([^/;\s]+\+)?[Jj][Ss][Oo][Nn]\s*(;|$)"
Subject = t.Annotated[str, msgspec.Meta(min_length=1, max_length=2048)]
Short = t.Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST)]
UriReference = t.Annotated[str, msgspec.Meta(min_length=1, max_length=2048, pattern=rf"^{URI_PART}*$")]
Uri = t.Annotated[str, msgspec.Meta(max_length=2048, pattern=rf"^[A-Za-z][A-Za-z0-9+.-]*:{URI_PART}*$")]
Time = t.Annotated[datetime, msgspec.Meta(tz=True)]


class Attributes(msgspec.Struct):
    """What a CloudEvent says of itself; extensions beside these are any text, integer or boolean."""

    id: Short
    source: UriReference
    type: Short
    specversion: t.Literal["1.0"]
    datacontenttype: t.Annotated[str, msgspec.Meta(extra_json_schema={"pattern": JSON_TYPE})] | None = None
    dataschema: Uri | None = None
    subject: Subject | None = None
    time: Time | None = None


def read_structured(body: bytes) -> Incoming:
    """Return the event of a body of the type ``application/cloudevents+json``."""
    return read_object(parse(body), "cloudevents-structured")


def read_batch(body: bytes) -> list[Incoming]:
    """Return the events of a body of the type ``application/cloudevents-batch+json``, which may have none.

    All of them, or none: what is wrong with one refuses the batch. The limit of keys is for each event.
    """
    events = parse(body, most_keys=MOST_KEYS * MOST_EVENTS)
    if not isinstance(events, list):
        raise Rejected(400, "batch-invalid", "The batch is no JSON array of CloudEvents.")
    if len(events) > MOST_EVENTS:
        detail = f"The batch has {len(events)} events, at most {MOST_EVENTS} are taken at once: send it in parts."
        raise Rejected(413, "batch-too-large", detail)
    return [read_member(event, number) for number, event in enumerate(events, 1)]


def read_member(event: t.Any, number: int) -> Incoming:
    try:
        if keys_in(event) > MOST_KEYS:
            raise too_many_keys()
        return read_object(event, "cloudevents-batch")
    except Rejected as rejected:
        raise rejected.in_batch(number) from rejected


def read_object(event: t.Any, form: Form) -> Incoming:
    if not isinstance(event, dict):
        raise Rejected(400, "cloudevent-invalid", "The CloudEvent is no JSON object.")
    if "data_base64" in event:
        raise Rejected(400, "data-base64", "The CloudEvent has data_base64, and only JSON is taken: send it in data.")
    attributes = {name: value for name, value in event.items() if name != "data"}
    return read_attributes(attributes, event.get("data"), form)


def read_binary(headers: Headers, body: bytes) -> Incoming:
    """Return the event whose attributes are the headers that begin with ``ce-``, and whose data is *body*."""
    attributes = {
        name[3:].lower(): header_text(name, value) for name, value in headers.items() if name[:3].lower() == "ce-"
    }
    if "data" in attributes:
        raise Rejected(400, "attribute-invalid", "The header ce-data is none of a CloudEvent: send data in the body.")
    if headers.get("Content-Type"):
        attributes["datacontenttype"] = headers["Content-Type"]
    refuse_content_type(attributes.get("datacontenttype"))
    return read_attributes(attributes, parse(body) if body else None, "cloudevents-binary")


def header_text(name: str, value: str) -> str:
    """Return what a header says, by the HTTP binding: without quotes, and percent-decoded once."""
    try:
        if value.isascii():
            return unquote(unquote_header_value(value), errors="strict")
    except UnicodeDecodeError:
        pass
    detail = f"The header {name[:40]} is not percent-encoded UTF-8: encode what is not printable ASCII."
    raise Rejected(400, "attribute-invalid", detail)


def read_attributes(attributes: Mapping[str, t.Any], data: t.Any, form: Form) -> Incoming:
    refuse_attributes(attributes)
    try:
        read = msgspec.convert(attributes, Attributes)
    except msgspec.ValidationError as error:
        detail = f"An attribute of the CloudEvent is missing or wrong: {shorten(error)}."
        raise Rejected(400, "attribute-invalid", detail) from error
    refuse_content_type(read.datacontenttype)
    refuse_text(read.id, "The id of the CloudEvent", "attribute-invalid")
    return Incoming(
        name=refuse_text(read.type, "The type of the CloudEvent", "attribute-invalid"),
        payload=data,
        form=form,
        id=str(uuid5(NAMESPACE_URL, f"{read.source}\n{read.id}")),
        key=f"{read.source} {read.id}",
        subject=read.subject,
    )


def refuse_attributes(attributes: Mapping[str, t.Any]) -> None:
    for name, value in attributes.items():
        if not re.fullmatch(r"[a-z0-9]+", name):
            detail = f"The CloudEvent has an attribute named {shorten_name(name)}: use lower-case a to z and 0 to 9."
            raise Rejected(400, "attribute-invalid", detail)
        if isinstance(value, dict | list | float):
            detail = f"The attribute {shorten_name(name)} is no text, integer or boolean: put it into data."
            raise Rejected(400, "attribute-invalid", detail)
        if isinstance(value, str) and CONTROL.search(value):
            detail = f"The attribute {shorten_name(name)} has a control character, such as a line break: leave it out."
            raise Rejected(400, "attribute-invalid", detail)


def shorten_name(name: str) -> str:
    return ascii(name[:40])


def refuse_content_type(content_type: str | None) -> None:
    if content_type is None or re.search(JSON_TYPE, content_type):
        return
    detail = "The data of the CloudEvent is not said to be JSON, and nothing else is taken: send application/json."
    raise Rejected(415, "data-not-json", detail, {"Accept": "application/json"})
