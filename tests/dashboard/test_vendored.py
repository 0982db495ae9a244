"""What others wrote and the dashboard ships is what VENDORED.txt says, and small."""

from __future__ import annotations

import gzip
import hashlib
import re
from pathlib import Path

from flask_condor.dashboard.assets import FOLDER

from tests.dashboard.apps import ADA
from tests.dashboard.apps import USERS
from tests.dashboard.apps import make_app

VENDOR = FOLDER / "vendor"
LINES = [line.split() for line in (VENDOR / "VENDORED.txt").read_text().splitlines()[3:]]
PINNED = {"htmx.org": ("4.0.1", "0BSD"), "uplot": ("1.6.32", "MIT"), "@picocss/pico": ("2.1.1", "MIT")}


def test_each_file_has_the_hash_that_is_written_down() -> None:
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in VENDOR.iterdir()}
    found.pop("VENDORED.txt")

    assert {line[3]: line[4] for line in LINES} == found


def test_each_package_is_pinned_and_has_its_licence() -> None:
    assert {line[0]: (line[1], line[2]) for line in LINES} == PINNED
    assert all((VENDOR / f"{name.rpartition('/')[2]}.LICENSE.txt").read_text() for name in PINNED)


def test_no_script_builds_code_from_text_as_the_policy_forbids_it() -> None:
    ours = [path for path in FOLDER.glob("*.js")]

    assert len(ours) >= 2
    assert not [path for path in ours if "eval(" in path.read_text() or "Function(" in path.read_text()]


def test_all_that_a_page_with_charts_loads_is_below_80_kb_compressed(tmp_path: Path) -> None:
    page = make_app(tmp_path, users=USERS).test_client().get("/condor/", auth=ADA)
    names = re.findall(r'"/condor/static/([^"?]+)', page.text)

    loaded = [page.data, *((FOLDER / name).read_bytes() for name in names)]

    assert {"condor.css", "vendor/htmx.min.js", "vendor/uPlot.iife.min.js", "vendor/pico.min.css"} <= set(names)
    assert sum(len(gzip.compress(data, 9)) for data in loaded) < 80_000
