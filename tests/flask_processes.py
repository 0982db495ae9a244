"""Real `flask` processes on small apps that a test writes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

DONE = subprocess.CompletedProcess[str]


def write_files(folder: Path, files: dict[str, str]) -> Path:
    """Write an app's *files* into *folder*, and return that."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    return folder


def flask(folder: Path, *args: str) -> DONE:
    """Run ``flask`` with *args* in *folder*."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("FLASK_", "CONDOR_"))}
    command = [sys.executable, "-m", "flask", *args]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
