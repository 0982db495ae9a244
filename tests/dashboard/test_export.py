"""Exports: the rows of a list as a file that no spreadsheet program carries out."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from flask import Flask
from flask_condor.dashboard import export
from flask_condor.dashboard.export import exported

from tests.dashboard.apps import USERS
from tests.dashboard.apps import make_app

ROWS = [["=1+1", 1.5, None], ["+a", -3, {"a": "=x"}], ["-b", True, "\ttab"], ["@c", False, "\ud800"], ['"q",\n', 0, ""]]
FIELDS = ("name", "number", "other")


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    return make_app(tmp_path, users=USERS)


def test_cells_of_a_csv_file_are_no_formulas(app: Flask) -> None:
    with app.test_request_context("/condor/x?format=csv"):
        answer = exported(ROWS, FIELDS, "rows")

    found = list(csv.reader(io.StringIO(answer.get_data(as_text=True), newline="")))

    assert answer.headers["Content-Disposition"] == 'attachment; filename="condor-rows.csv"'
    assert found[0] == list(FIELDS)
    assert [row[0] for row in found[1:]] == ["'=1+1", "'+a", "'-b", "'@c", '"q",\n']
    assert [row[1] for row in found[1:]] == ["1.5", "-3", "True", "False", "0"]
    assert found[3][2] == "'\ttab"


def test_a_json_file_has_the_values_as_they_are(app: Flask) -> None:
    with app.test_request_context("/condor/x?format=json"):
        answer = exported(ROWS, FIELDS, "rows")

    found = json.loads(answer.get_data(as_text=True))

    assert found["truncated"] is False
    assert [row["name"] for row in found["rows"]] == [row[0] for row in ROWS]


@pytest.mark.parametrize("form", ["csv", "json"])
def test_a_file_is_bounded_and_says_so(app: Flask, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "MOST", 3)

    with app.test_request_context(f"/condor/x?format={form}"):
        whole, cut = (exported(iter(ROWS[:count]), FIELDS, "rows") for count in (3, 4))

    assert [answer.headers["X-Condor-Truncated"] for answer in (whole, cut)] == ["false", "true"]
    assert ("Only the first 3 rows" in cut.get_data(as_text=True)) is (form == "csv")
    assert "-3" in cut.get_data(as_text=True) and "@c" not in cut.get_data(as_text=True)
