"""`flask events` where the app is broken, has no Condor, or is not there: one telling line, and no traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.flask_processes import flask
from tests.flask_processes import write_files

APP = """
    from flask import Flask
    from flask_condor import Condor
    from register_events import register_events

    def create_app():
        app = Flask(__name__)
        Condor(app, register_events=register_events)
        return app
"""
REGISTERS = """
    from flask_condor import resolve_events_manager

    def register_events():
        resolve_events_manager().register({})
"""
QUESTION = "raise ValueError('is it a port?')"
BARE = """
    from flask import Flask
    app = Flask(__name__)
"""
TWO_LINES = "    from flask_condor import Condor\n    Condor(app, register_events=register_events)\n"
WHENCE = "`flask events init` makes the register_events.py it takes; `flask events new NAME` makes a whole app.\n"


@pytest.mark.parametrize("args", [(), ("list",), ("stats",)], ids=str)
@pytest.mark.parametrize("files", [{}, {"app.py": BARE}], ids=["no app", "no Condor"])
def test_without_condor_it_answers_with_the_two_lines_to_add(
    tmp_path: Path, files: dict[str, str], args: tuple[str, ...]
) -> None:
    ended = flask(write_files(tmp_path, files), "events", *args)

    assert ended.returncode == 2 and ended.stderr.endswith(f"Where it is made, add:\n{TWO_LINES}{WHENCE}")
    told = "app 'app' has no Condor. " if files else "no app was found: Could not locate"
    assert ended.stderr.startswith(f"Error: {told}")
    assert bool(args) != ended.stdout.startswith("Usage: ")


def test_help_needs_no_app(tmp_path: Path) -> None:
    ended = flask(write_files(tmp_path, {"app.py": "1 / 0"}), "events", "list", "--help")

    assert (ended.returncode, ended.stderr) == (0, "") and ended.stdout.startswith("Usage: ")


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"app.py": "def create_app(:\n"}, "app.py:1: SyntaxError: invalid syntax"),
        ({"app.py": "import json\nimport nothing_such\n"}, "app.py:2: ModuleNotFoundError: No module named"),
        ({"app.py": "\nimport json\njson.loads('{')\n"}, "app.py:3: JSONDecodeError: Expecting property name"),
        ({"app.py": APP, "register_events.py": "\n\n1 / 0\n"}, "register_events.py:3: ZeroDivisionError: division by"),
        ({"app.py": APP, "register_events.py": REGISTERS.format("1 / 0")}, "register_events.py:5: ZeroDivisionError"),
        ({"app.py": APP, "register_events.py": REGISTERS.format("''")}, "register_events.py:5: event name is empty: "),
        ({"app.py": QUESTION}, "app.py:1: ValueError: is it a port? Run"),
    ],
    ids=["syntax", "import", "library", "registration import", "registration call", "refusal", "question"],
)
def test_a_broken_app_is_told_in_one_line_with_file_and_line(tmp_path: Path, files: dict[str, str], told: str) -> None:
    ended = flask(write_files(tmp_path, files), "events", "list")

    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"Error: the app cannot be loaded: {told}") and ended.stderr.count("\n") == 1
    assert ended.stderr.endswith(" Run `flask events doctor` to see what else.\n")


@pytest.mark.parametrize("args", [("--once",), ()], ids=str)
def test_a_worker_without_condor_answers_with_the_two_lines_too(tmp_path: Path, args: tuple[str, ...]) -> None:
    ended = flask(write_files(tmp_path, {"app.py": BARE}), "events", "worker", *args)

    assert ended.returncode == (2 if args else 1) and "Traceback" not in ended.stderr
    assert f"Error: app 'app' has no Condor. Where it is made, add:\n{TWO_LINES}{WHENCE}" in ended.stderr


@pytest.mark.parametrize("args", [("--once",), ()], ids=str)
def test_a_worker_tells_a_broken_app_in_one_line_too(tmp_path: Path, args: tuple[str, ...]) -> None:
    ended = flask(write_files(tmp_path, {"app.py": "1 / 0"}), "events", "worker", *args)

    assert ended.returncode == 1 and "Traceback" not in ended.stderr
    assert "Error: the app cannot be loaded: app.py:1: ZeroDivisionError: division by zero. Run" in ended.stderr
