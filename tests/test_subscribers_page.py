"""docs/how-to/subscribers-in-configuration.md: its app runs as it stands, and its table tells of every key."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from flask_condor.retry import Retry
from flask_condor.subscribers import Subscriber
from flask_condor.subscribers import read

PAGE = (Path(__file__).parent.parent / "docs" / "how-to" / "subscribers-in-configuration.md").read_text()
POST = """
from app import create_app
answer = create_app().test_client().post("/users", json={"email": "ada@example.com"})
assert answer.status_code == 201, answer.text
"""


def run(folder: Path, *arguments: str) -> str:
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_the_app_of_the_page_accepts_an_event_and_a_worker_runs_the_job(tmp_path: Path) -> None:
    for name, text in re.findall(r"```\w+\n# (\S+)\n(.*?)```", PAGE, re.DOTALL):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    run(tmp_path, "-c", POST)
    told = run(tmp_path, "-m", "flask", "--app", "app", "events", "worker", "--once")

    assert "mail to ada@example.com" in told and "1 run: 1 done" in told


def test_the_dict_of_the_page_says_what_its_toml_file_says() -> None:
    in_toml = tomllib.loads(re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)[0])
    as_dict: dict[str, object] = {}
    exec(re.findall(r"```python\n(CONDOR.*?)```", PAGE, re.DOTALL)[0], as_dict)

    assert in_toml["CONDOR_SUBSCRIBERS"] == as_dict["CONDOR_SUBSCRIBERS"]


def test_the_second_entry_of_the_page_is_right() -> None:
    entries = tomllib.loads(re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)[1])["CONDOR_SUBSCRIBERS"]

    assert read("update-analytics", entries["update-analytics"]).retry == Retry(max_attempts=3, wait=60)


def test_the_table_tells_of_every_key_of_an_entry_and_of_a_retry() -> None:
    keys = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)

    assert sorted(keys) == sorted(Subscriber.__struct_fields__)
    assert all(f"`{field}`" in PAGE for field in Retry.__struct_fields__)
