"""What `import flask_condor` costs beside `import flask`, each in fresh processes, in turn.

    python benchmarks/imports.py [--rounds 20] [--json FILE]

The bytecode is compiled by a first run, as pip does when it installs a wheel.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
from tempfile import TemporaryDirectory

from frame import keep
from frame import parser_of


def import_time(module: str, bytecode: str) -> int:
    """Return the cumulative microseconds that ``-X importtime`` gives for *module*."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = bytecode
    command = [sys.executable, "-X", "importtime", "-c", f"import {module}"]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stderr
    found = re.search(rf"\| +(\d+) \| {module}$", told, re.MULTILINE)
    assert found, told
    return int(found.group(1))


def main() -> None:
    options = parser_of(__doc__, rounds=20).parse_args()
    with TemporaryDirectory() as bytecode:
        import_time("flask_condor", bytecode)
        taken = [[import_time(name, bytecode) for name in ("flask_condor", "flask")] for _ in range(options.rounds)]
    ratios = [ours / flask for ours, flask in taken]
    figures = {
        "milliseconds": {
            "flask_condor": round(statistics.median(ours for ours, _ in taken) / 1000, 1),
            "flask": round(statistics.median(flask for _, flask in taken) / 1000, 1),
        },
        "ratio": {"min": min(ratios), "median": statistics.median(ratios), "max": max(ratios)},
    }
    keep(figures, options, ("flask", "msgspec"))


if __name__ == "__main__":
    main()
