"""The AsyncAPI 3.0 document of an app: each registered event with its payload and the jobs that run for it."""

from __future__ import annotations

import re
import typing as t
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version

import msgspec

from .models_of_pydantic import is_model

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from .job import Job
    from .registry import Registry

SCHEMAS = "#/components/schemas/"
OPEN: dict[str, t.Any] = {"description": "Anything: the name of the event says no type."}

Json = dict[str, t.Any]


def document_of(app: Flask, registry: Registry) -> Json:
    """Return the document, by events in the order they were registered: a channel, an operation and a message each.

    An event with jobs is one that the app receives, and one without that it sends.
    """
    jobs = registry.jobs
    keys = keys_of(jobs)
    payloads, schemas = payloads_of(jobs, registry)
    return {
        "asyncapi": "3.0.0",
        "info": {"title": app.name, "version": version_of(app)},
        "defaultContentType": "application/json",
        "channels": {keys[name]: channel_of(name, keys[name], payloads[name]) for name in jobs},
        "operations": {keys[name]: operation_of(keys[name], jobs[name]) for name in jobs},
        "components": {"schemas": schemas},
    }


def version_of(app: Flask) -> str:
    """Return the version of the distribution that the app is in, or 0.0.0."""
    try:
        return version(app.import_name.partition(".")[0])
    except (PackageNotFoundError, ValueError):
        return "0.0.0"


def keys_of(names: t.Iterable[str]) -> dict[str, str]:
    """Return for each name what may stand for it in a reference: itself, for a name by the conventions."""
    keys: dict[str, str] = {}
    for name in names:
        key = plain(name)
        number = 1
        while key in keys.values():
            number += 1
            key = f"{plain(name)}-{number}"
        keys[name] = key
    return keys


def plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)


def channel_of(name: str, key: str, payload: Json) -> Json:
    return {"address": name, "messages": {key: {"name": name, "payload": payload}}}


def operation_of(key: str, jobs: t.Sequence[Job]) -> Json:
    told = ", ".join(f"{job.path} ({job.run})" for job in jobs)
    return {
        "action": "receive" if jobs else "send",
        "channel": {"$ref": f"#/channels/{key}"},
        "messages": [{"$ref": f"#/channels/{key}/messages/{key}"}],
        "description": f"Runs {told}." if jobs else "Runs no job of this app.",
    }


def payloads_of(names: t.Iterable[str], registry: Registry) -> tuple[dict[str, Json], Json]:
    """Return the schema of each name's payload, and the schemas that these refer to."""
    found = {name: registry.typed_names.get(name) for name in names}
    of_models: Json = {}

    def schema_of(kind: t.Any) -> Json:
        if not is_model(kind):
            return opaque(kind)
        prefix = plain(f"{kind.__module__}.{kind.__qualname__}")
        try:
            schema: Json = kind.model_json_schema(ref_template=f"{SCHEMAS}{prefix}.{{model}}")
        except RuntimeError:  # pydantic's, for a model with a part that JSON Schema has no word for
            return opaque(kind)
        of_models.update({f"{prefix}.{name}": inner for name, inner in schema.pop("$defs", {}).items()})
        return schema

    types = {name: kind.kind for name, kind in found.items() if kind is not None}
    told = {name: kind for name, kind in types.items() if has_schema(kind, schema_of)}
    schemas, components = msgspec.json.schema_components(
        told.values(), schema_hook=schema_of, ref_template=SCHEMAS + "{name}"
    )
    untold = {name: opaque(types[name]) if name in types else OPEN for name in found}
    payloads = untold | dict(zip(told, schemas, strict=True))
    return without_discriminators(payloads), without_discriminators(components | of_models)


def opaque(kind: t.Any) -> Json:
    return {"title": getattr(kind, "__name__", str(kind)), "description": "An object of the app's own."}


def has_schema(kind: t.Any, schema_of: Callable[[t.Any], Json]) -> bool:
    try:
        msgspec.json.schema(kind, schema_hook=schema_of)
    except TypeError:  # for a default that JSON cannot hold
        return False
    return True


def without_discriminators(part: t.Any) -> t.Any:
    """Return *part* without those of OpenAPI, which AsyncAPI refuses; each alternative tells its own value."""
    if isinstance(part, list):
        return [without_discriminators(item) for item in part]
    if not isinstance(part, dict):
        return part
    return {
        key: without_discriminators(item)
        for key, item in part.items()
        if key != "discriminator" or not isinstance(item, dict) or "propertyName" not in item
    }
