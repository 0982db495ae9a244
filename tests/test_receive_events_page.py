"""docs/how-to/receive-events.md: its commands print what it shows, one after the other, and the jobs run."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

from tests.ports import kept_port
from tests.sample_server import PORT
from tests.sample_server import SERVER
from tests.sample_server import sample_app
from tests.servers import ROOT

PAGE = (ROOT / "docs" / "how-to" / "receive-events.md").read_text()


def commands() -> list[tuple[str, str]]:
    """Return the commands of the page that are one line each, with the line that each prints."""
    return re.findall(r"^\$ (curl -s .*)\n(.*)$", PAGE, re.MULTILINE)


def run(command: str) -> str:
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_other_command_of_the_page_prints_what_it_shows_and_the_jobs_run(tmp_path: Path) -> None:
    with kept_port() as port, sample_app(tmp_path, port):
        printed = [run(command.replace(str(PORT), str(port))) for command, _ in commands()]
        until = time.monotonic() + 30
        while not list((tmp_path / "outbox").glob("*")) and time.monotonic() < until:
            time.sleep(0.2)

    assert f"$ {SERVER}\n" in PAGE and len(printed) == 7
    assert printed == [shown + "\n" * text.endswith("\n") for text, (_, shown) in zip(printed, commands(), strict=True)]
    assert any("ada@example.com" in mail.read_text() for mail in (tmp_path / "outbox").glob("*"))
