"""A wall clock that steps for the processes that are given it, and for no other."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest


class Clock:
    """The shim that shifts the wall clock of a process, compiled into *folder*."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("gcc") is None and not os.environ.get("CI"):
            pytest.skip("gcc is not installed")
        shim, source = folder / "clock.so", Path(__file__).with_name("clock.c")
        subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", shim, source], check=True)
        self._offset = folder / "offset"
        self.environment = {"LD_PRELOAD": str(shim), "CLOCK_OFFSET": str(self._offset)}
        self.step(0)

    def step(self, seconds: int) -> None:
        """Have it differ from the machine's by so many seconds from now on."""
        self._offset.write_text(str(seconds))
