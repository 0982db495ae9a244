"""The Trigger.dev page's endpoint: its curl as written, its answers to what is wrong, and events that are put off."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.programs import UUID7
from tests.ports import kept_port
from tests.sample_server import PORT
from tests.sample_server import port_of_the_page
from tests.sample_server import sample_app

CURL = """curl -X POST http://localhost:3002/trigger \\
  -H "Content-Type: application/json" \\
  -d '{
    "event": "test.event",
    "payload": {
      "message": "This is a test event"
    }
  }'
"""
"""As it stands on the page."""


class Sample:
    """The sample app while it is served."""

    def __init__(self, folder: Path, port: int) -> None:
        self._database = folder / "app.db"
        self._port = port

    def ask(self, method: str, body: bytes | None = None) -> tuple[int, dict[str, str], bytes]:
        with closing(HTTPConnection("127.0.0.1", self._port, timeout=60)) as connection:
            connection.request(method, "/trigger", body, {"Content-Type": "application/json"} if body else {})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()

    def send(self, body: object) -> tuple[int, Any]:
        status, _, answer = self.ask("POST", json.dumps(body).encode())
        return status, json.loads(answer)

    def states(self, event_id: str) -> list[str]:
        """Return the states of the deliveries of an event."""
        with closing(sqlite3.connect(self._database, timeout=30)) as database:
            query = "SELECT state FROM condor_deliveries WHERE event_id = ? ORDER BY id"
            return [state for (state,) in database.execute(query, [event_id])]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sample]:
    folder = tmp_path_factory.mktemp("sample")
    with kept_port() as port, sample_app(folder, port):
        yield Sample(folder, port)


def test_the_curl_of_the_page_works_as_written(tmp_path: Path) -> None:
    with port_of_the_page(), sample_app(tmp_path, PORT):
        done = subprocess.run(["sh", "-c", CURL], capture_output=True, text=True, timeout=60)

    answer = json.loads(done.stdout)
    assert answer.keys() == {"success", "message", "result"} and answer["success"] is True
    assert answer["message"] == "Event test.event accepted"
    assert answer["result"] == {
        "id": answer["result"]["id"],
        "name": "test.event",
        "payload": {"message": "This is a test event"},
    }
    assert UUID7.fullmatch(answer["result"]["id"])


@pytest.mark.parametrize("body", [{}, None, [], "x", "", 123, {"payload": {"a": 1}}])
def test_a_body_without_an_event_is_answered_as_on_the_page(sample: Sample, body: object) -> None:
    assert sample.send(body) == (400, {"error": "Missing required fields"})


def test_malformed_json_is_400_and_another_method_405(sample: Sample) -> None:
    assert sample.ask("POST", b"{")[0] == 400
    status, headers, _ = sample.ask("GET")
    assert (status, headers["Allow"]) == (405, "POST")


def test_an_event_reaches_its_jobs(sample: Sample) -> None:
    payload = {"id": 1, "name": "Ada", "email": "ada@example.com"}

    status, answer = sample.send({"event": "user.registered", "payload": payload, "id": "user-1"})

    assert (status, answer["result"]) == (200, {"id": "user-1", "name": "user.registered", "payload": payload})
    until = time.monotonic() + 60
    while set(sample.states("user-1")) != {"done"} and time.monotonic() < until:
        time.sleep(0.2)
    assert sample.states("user-1") == ["done", "done"]


def test_an_event_that_is_put_off_waits(sample: Sample) -> None:
    status, answer = sample.send({"event": "first-upload-reminder-due", "payload": {}, "delay": {"hours": 24}})

    assert status == 200
    assert sample.states(answer["result"]["id"]) == ["pending"]
