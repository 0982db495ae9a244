"""README: the sample runs as it stands, the two commands are there, and it stays short."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import Flask

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())

    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_index_leads_to_every_page() -> None:
    index = ROOT / "docs/index.md"
    linked = {(index.parent / link).resolve() for link in re.findall(r"\]\(([^)#]+)\)", index.read_text())}

    assert set(PAGES) - {index} <= linked
    assert "(docs/index.md)" in README
