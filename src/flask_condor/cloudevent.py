"""The CloudEvent: one of our events as other systems read it, CloudEvents 1.0 in the JSON format."""

from __future__ import annotations

import typing as t

from .event import Event

MEDIA_TYPE = "application/cloudevents+json"


def cloudevent_of(event: Event[t.Any], source: str) -> dict[str, t.Any]:
    """Return *event* as a CloudEvent, with its payload as ``data``; the same event gives the same one each time.

    :param source: a URI reference that says which app fired it; with the event's id it names the event everywhere.
    """
    subject = event._origin.subject if event._origin else None
    return {
        "specversion": "1.0",
        "id": event.id,
        "source": source,
        "type": str.__str__(event.name),
        "time": event.fired_at.isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        **({} if subject is None else {"subject": subject}),
        "data": event.payload,
    }
