"""README: the sample runs as it stands, the two commands are there, and it stays short."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import Flask

README = (Path(__file__).parent.parent / "README.md").read_text()


def test_the_sample_runs_and_logs_the_mail(caplog: pytest.LogCaptureFixture) -> None:
    found = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert found
    namespace: dict[str, Flask] = {"__name__": "sample"}  # type: ignore[dict-item]  # what Flask(__name__) reads

    exec(found.group(1), namespace)
    namespace["app"].testing = True
    response = namespace["app"].test_client().post("/password")

    assert response.json == {"status": "changed"}
    assert [record.getMessage() for record in caplog.records] == ["mail to ada"]


@pytest.mark.parametrize(
    "command",
    [
        "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt && .venv/bin/flask run",
        "python3 -m venv .venv && .venv/bin/pip install -r requirements-dev.txt && .venv/bin/pytest",
    ],
)
def test_each_command_stands_on_a_line_of_its_own(command: str) -> None:
    assert f"\n\n    {command}\n\n" in README


def test_it_has_at_most_120_lines() -> None:
    assert len(README.splitlines()) <= 120
