"""Runs Blinker's own test suite with our signal in place of Blinker's; needs pytest and pytest-asyncio.

The tests come from the source distribution of the installed Blinker, and run under the settings they have there.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import blinker
import pytest
from flask_condor.signals import JobSignal
from flask_condor.signals import Signals

EXPECTED = 25
"""How many tests Blinker 1.9.0 has."""


class OurNamespace(Signals):
    def __init__(self) -> None:
        super().__init__(lambda receiver: receiver)


class OurNamedSignal(JobSignal):
    def __init__(self, name: str, doc: str | None = None) -> None:
        super().__init__(name, doc, OurNamespace())


class OurSignal(OurNamedSignal):
    made = 0

    def __init__(self, doc: str | None = None) -> None:
        super().__init__("a signal without a name", doc)
        OurSignal.made += 1


class Tally:
    passed = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.passed += report.when == "call" and report.passed


def download(release: str, folder: Path) -> Path:
    """Return the unpacked source distribution of Blinker *release*."""
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", "blinker", "--dest", str(folder)]
    subprocess.run([*pip, f"blinker=={release}"], check=True)
    [archive] = folder.glob("blinker-*.tar.gz")
    shutil.unpack_archive(archive, folder)
    return folder / f"blinker-{release}"


def run_suite(blinker_source: Path) -> bool:
    vars(blinker).update(
        Namespace=OurNamespace, NamedSignal=OurNamedSignal, Signal=OurSignal, signal=OurNamespace().signal
    )
    options = ["-q", "-p", "no:randomly", "-p", "no:xdist", "-o", "asyncio_default_fixture_loop_scope=function"]
    settings = ["-c", str(blinker_source / "pyproject.toml"), "--rootdir", str(blinker_source)]
    tally = Tally()
    code = pytest.main([*options, *settings, str(blinker_source / "tests")], plugins=[tally])
    print(f"{tally.passed} of Blinker's {EXPECTED} tests passed, on {OurSignal.made} signals of ours")
    return code == 0 and tally.passed == EXPECTED and OurSignal.made > 0


def main() -> None:
    with TemporaryDirectory() as folder:
        passed = run_suite(download(version("blinker"), Path(folder)))
    sys.exit(not passed)


if __name__ == "__main__":
    main()
