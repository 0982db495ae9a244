"""The types of the public API, as mypy --strict and pyright see them; `.ci/run` lets both read the file, too."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
API = ROOT / "tests" / "typing" / "api.py"
CHECKERS = {"mypy": ["--python-executable", sys.executable], "pyright": ["--pythonpath", sys.executable]}


@pytest.mark.slow
@pytest.mark.parametrize("checker", CHECKERS)
def test_the_checkers_refuse_each_wrong_line_and_no_other(checker: str) -> None:
    found = shutil.which(checker, path=f"{ROOT / '.tools' / 'bin'}:{os.environ['PATH']}")
    if found is None and "CI" not in os.environ:
        pytest.skip(f"no {checker} here")
    text = API.read_text()
    bare = API.with_name(f"api_without_ignores_{checker}.py")
    bare.write_text(re.sub(r"  # type: ignore.*", "", text))
    try:
        told = subprocess.run(
            [str(found), *CHECKERS[checker], str(bare)], cwd=ROOT, capture_output=True, text=True, check=False
        ).stdout
    finally:
        bare.unlink()

    wrong = {number for number, line in enumerate(text.splitlines(), 1) if "# type: ignore" in line}
    assert {int(number) for number in re.findall(rf"{bare.name}:(\d+):.*error", told)} == wrong, told
