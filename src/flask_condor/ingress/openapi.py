"""The OpenAPI 3.1 document of the ingress: what may be posted, made of the limits that the readers keep to."""

from __future__ import annotations

import typing as t
from datetime import timedelta

import msgspec

from ..asyncapi import version_of
from ..cloudevent import MEDIA_TYPE
from ..due import LONGEST as LONGEST_DELAY
from ..due import UNITS
from .bodies import BATCH
from .bodies import SIMPLE
from .cloudevents import MOST_EVENTS
from .cloudevents import Attributes
from .incoming import LONGEST
from .problem import PROBLEM
from .strict_json import DEEPEST
from .strict_json import LARGEST_BODY
from .strict_json import LARGEST_INTEGER
from .strict_json import MOST_KEYS

if t.TYPE_CHECKING:
    from flask import Flask

    from ..config import Config

Json = dict[str, t.Any]

DESCRIPTION = f"""Accepts events. What is answered with 2xx is stored, and its jobs will run; the same id again with the
same content gets the same answer, and runs nothing.

A CloudEvent in the binary mode has its attributes in headers that begin with `ce-`, and any JSON as its body.

A body has at most {LARGEST_BODY} bytes of UTF-8, is not compressed, is nested at most {DEEPEST} deep and has at most
{MOST_KEYS} keys, none of them twice in an object; no integer is beyond {LARGEST_INTEGER}, no text holds NUL or half a
character, and names and ids are of printable characters. The member `rule` of a problem says what it broke."""

REFUSALS = {
    400: "It is not JSON, or not within the limits, or no event.",
    401: "Who sends it is not known: it has no valid token or signature.",
    403: "Who sends it may not send events of this name.",
    404: "There is no such address; in debug mode, for others than who is at that machine.",
    409: "Its id is that of another event.",
    413: "The body is too long, or the batch has too many events.",
    415: "The body is of a type that is not taken, or compressed.",
    422: "The app has no use for the event: its payload is not of its type, or nothing listens to its name.",
    429: "Too many requests: send it again later.",
    503: "The app cannot store it just now: send it again later.",
}
LATER = (429, 503)

TEXT = {"type": "string", "minLength": 1, "maxLength": LONGEST}
DELAY_IN_SECONDS = {"type": "number", "minimum": 0, "maximum": LONGEST_DELAY}
DELAY = {
    "description": "How long to wait before the jobs run: seconds, or a sum of units; a century at most in all.",
    "anyOf": [
        DELAY_IN_SECONDS,
        {
            "type": "object",
            "properties": {
                unit: {**DELAY_IN_SECONDS, "maximum": LONGEST_DELAY / timedelta(**{unit: 1}).total_seconds()}
                for unit in UNITS
            },
            "additionalProperties": False,
            "minProperties": 1,
        },
        {"type": "null"},
    ],
}
SIMPLE_FORM = {
    "type": "object",
    "required": ["event"],
    "properties": {
        "event": {**TEXT, "description": "The event's name."},
        "payload": {"description": "Any JSON."},
        "id": {"anyOf": [TEXT, {"type": "null"}], "description": "Comes before the header Idempotency-Key."},
        "delay": DELAY,
    },
}
ACCEPTED = {
    "type": "object",
    "required": ["success", "message", "result"],
    "properties": {
        "success": {"const": True},
        "message": {"type": "string"},
        "result": {
            "type": "object",
            "required": ["id", "name", "payload"],
            "properties": {"id": TEXT, "name": TEXT, "payload": {}},
        },
    },
}
ACCEPTED_CLOUDEVENTS = {
    "anyOf": [
        {"type": "object", "required": ["id"], "properties": {"id": TEXT}},
        {"type": "object", "required": ["ids"], "properties": {"ids": {"type": "array", "items": TEXT}}},
    ]
}
PROBLEM_MEMBERS = {"type": "string", "title": "string", "status": "integer", "detail": "string", "rule": "string"}


def document_of(app: Flask, config: Config) -> Json:
    """Return the document: one path, to which any of the forms may be posted."""
    return {
        "openapi": "3.1.0",
        "info": {"title": app.name, "version": version_of(app)},
        "paths": {config.trigger_url: {"post": operation()}},
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "signature": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "webhook-signature",
                    "description": "Standard Webhooks: with webhook-id and webhook-timestamp.",
                },
            },
        },
    }


def operation() -> Json:
    schema = {"schema": ref("CloudEvent")}
    return {
        "operationId": "trigger",
        "summary": "Send events",
        "description": DESCRIPTION,
        "security": [{"token": []}, {"signature": []}],
        "parameters": [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "description": "The id of an event of the simple form that has none.",
                "schema": TEXT,
            }
        ],
        "requestBody": {
            "required": True,
            "content": {
                SIMPLE: {"schema": ref("SimpleForm")},
                MEDIA_TYPE: schema,
                BATCH: {"schema": {"type": "array", "maxItems": MOST_EVENTS, "items": ref("CloudEvent")}},
            },
        },
        "responses": responses(),
    }


def responses() -> Json:
    refused = {str(status): refusal(status, told) for status, told in REFUSALS.items()}
    refused["400"]["content"][SIMPLE] = {"schema": ref("MissingFields")}
    return {
        "200": accepted("The event of the simple form is stored.", "Accepted"),
        "202": accepted("The CloudEvents are stored.", "AcceptedCloudEvents"),
    } | refused


def accepted(told: str, schema: str) -> Json:
    orphan = {
        "description": "true when nothing listens to the event, or one of the batch.",
        "schema": {"const": "true"},
    }
    return {
        "description": told,
        "headers": {"Condor-Orphan": orphan},
        "content": {SIMPLE: {"schema": ref(schema)}},
    }


def refusal(status: int, told: str) -> Json:
    response: Json = {"description": told, "content": {PROBLEM: {"schema": ref("Problem")}}}
    if status in LATER:
        response["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "string"}}}
    return response


def schemas() -> Json:
    return {
        "SimpleForm": SIMPLE_FORM,
        "CloudEvent": cloudevent(),
        "Accepted": ACCEPTED,
        "AcceptedCloudEvents": ACCEPTED_CLOUDEVENTS,
        "MissingFields": {
            "type": "object",
            "required": ["error"],
            "properties": {"error": {"const": "Missing required fields"}},
        },
        "Problem": {
            "type": "object",
            "required": list(PROBLEM_MEMBERS),
            "properties": {name: {"type": kind} for name, kind in PROBLEM_MEMBERS.items()},
        },
    }


def cloudevent() -> Json:
    """Return the schema of a CloudEvent: that of its attributes, and what else it may have."""
    (_, components) = msgspec.json.schema_components([Attributes])
    schema: Json = components["Attributes"]
    schema["title"] = "CloudEvent"
    schema["properties"]["data"] = {"description": "The payload, any JSON."}
    schema["additionalProperties"] = {"type": ["string", "integer", "boolean", "null"]}
    schema["propertyNames"] = {"pattern": "^[a-z0-9]+$"}
    return schema


def ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}
