"""The samples: an event as a curl command and as a test, to be pasted; what is secret in it is not there."""

from __future__ import annotations

import json
import keyword
import pprint
import re
import shlex
import typing as t

from ..redaction import HIDDEN

LONGEST = 16_000
"""Characters of a payload that is put into a sample."""


def as_curl(url: str, name: str, payload: t.Any) -> str:
    """Return the command that sends an event like it to *url*, the trigger of this app."""
    return curl(url, "application/json", {"event": name, "payload": payload})


def as_cloudevent(url: str, name: str, payload: t.Any) -> str:
    """Return the command that sends it as a CloudEvent."""
    attributes = {"specversion": "1.0", "id": "1", "source": "https://example.com/shop", "type": name}
    return curl(url, "application/cloudevents+json", attributes | {"data": payload})


def curl(url: str, kind: str, body: t.Any) -> str:
    lines = [
        f"curl -X POST {shlex.quote(url)}",
        '-H "Authorization: Bearer $CONDOR_TOKEN"',
        f"-H 'Content-Type: {kind}'",
        f"-d {shlex.quote(json.dumps(body, ensure_ascii=False))}",
    ]
    return " \\\n  ".join(lines)


def as_test(name: str, payload: t.Any) -> str:
    """Return a test that fires an event like it and runs its jobs, with the fixtures of Flask-Condor."""
    value = pprint.pformat(payload, indent=4, width=100, sort_dicts=False)
    hint = f"    # {HIDDEN} stands for what is hidden here: put test values in its place.\n" if HIDDEN in value else ""
    return (
        f"def test_{identifier_of(name)}(app, fake_events):\n"
        f"{hint}"
        f"    payload = {value}\n"
        "\n"
        "    with app.app_context():\n"
        f'        app.extensions["condor"].emit({name!r}, payload)\n'
        "        fake_events.run_now()\n"
        "    runs = fake_events.run_queue()\n"
        "\n"
        '    assert [run.outcome for run in runs if run.outcome != "done"] == []\n'
        f"    assert [event.name for event in fake_events.fired][0] == {name!r}\n"
    )


def identifier_of(name: str) -> str:
    """Return the name of an event as a part of a Python name."""
    found = re.sub(r"\W+", "_", name.lower()).strip("_") or "event"
    return f"{found}_" if keyword.iskeyword(found) else found[:80]
