"""docs/how-to/typed-payloads.md: its examples are one program, which does what the page says."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from flask import Flask
from flask_condor import Condor
from flask_condor import EventsManager
from flask_condor.faults import PayloadInvalid

PAGE = (Path(__file__).parents[1] / "docs" / "how-to" / "typed-payloads.md").read_text()


@pytest.fixture
def page() -> Iterator[Any]:
    module = sys.modules["page"] = ModuleType("page")
    exec("\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)), vars(module))
    yield module
    del sys.modules["page"]


@pytest.fixture
def manager(page: Any, tmp_path: Path) -> EventsManager:
    app = Flask("page", instance_path=str(tmp_path))
    Condor(app, register_events=page.register_events)
    manager: EventsManager = app.extensions["condor"]
    return manager


def test_what_is_fired_reaches_the_jobs_with_its_type(
    page: Any, manager: EventsManager, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "page")
    with manager.app.app_context():
        page.complete(7)
        page.complete_from_json({"order_id": 8, "completed_at": "2026-11-21T12:00:00Z", "items": []})
        page.ctx.events.emit("user.registered", {"id": 1, "email": "ada@example.com"})
    manager.app.test_cli_runner().invoke(args=["events", "worker", "--once"])

    told = [record.getMessage() for record in caplog.records if record.name == "page"]
    assert told == ["welcome ada@example.com", "pack 2 of A-1"]


def test_the_error_reads_as_the_page_shows_it(page: Any, manager: EventsManager) -> None:
    call = re.search(r"`(complete_from_json\(.*?\))` raises", PAGE)
    shown = re.search(r"```text\n(.*?)\n```", PAGE)
    assert call and shown

    with manager.app.app_context(), pytest.raises(PayloadInvalid) as refused:
        eval(call.group(1), vars(page))
    assert str(refused.value) == shown.group(1)


def test_the_view_of_the_page_answers_400_with_every_fault(page: Any, manager: EventsManager) -> None:
    manager.app.post("/orders")(page.post_order)
    client = manager.app.test_client()
    order = {"order_id": 7, "completed_at": "2026-11-21T12:00:00Z", "items": []}

    refused = client.post("/orders", json=order | {"order_id": "7"})

    assert (refused.status_code, refused.json) == (400, {"faults": ["payload.order_id is '7': expected int"]})
    assert client.post("/orders", json=order).json == {"status": "completed"}
