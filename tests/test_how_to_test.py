"""docs/how-to/test.md: its examples are files that pass as they stand, and its failure is the one that is shown."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from flask_condor.testing import FakeEvents

from app import create_app
from events.event_names import PASSWORD_CHANGED

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/how-to/test.md").read_text()
FILES = dict(re.findall(r"```python\n# (\S+\.py)\n(.*?)```", PAGE, re.DOTALL))


def test_the_examples_pass(tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "--rootdir", str(tmp_path), str(tmp_path)]

    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)

    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{PAGE.count('def test_')} passed" in result.stdout


def test_the_failure_is_the_one_that_is_shown(tmp_path: Path) -> None:
    app = create_app({"TESTING": True, "DATABASE_URL": f"sqlite:///{tmp_path / 'app.db'}"})
    shown = re.search(r"    AssertionError: (.*?)\n\n", PAGE, re.DOTALL)

    with FakeEvents(app) as events:
        ada = {"name": "Ada", "email": "ada@example.com", "password": "correct horse"}
        app.test_client().post("/signup", json=ada)
        with pytest.raises(AssertionError) as raised:
            events.assert_fired(PASSWORD_CHANGED)

    assert shown
    assert str(raised.value) == shown[1].replace("\n    ", "\n")
