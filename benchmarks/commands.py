"""`flask events list` beside `flask routes` on the sample app: whole processes, in turn, the order swapped each round.

    python benchmarks/commands.py [--rounds 20] [--json FILE]

The bytecode is compiled by a first run, as pip does when it installs a wheel.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from frame import keep
from frame import parser_of

COMMANDS = {"flask events list": ("events", "list"), "flask routes": ("routes",)}


def seconds_of(command: str, folder: str) -> float:
    """Return how long a process of *command* takes, with its bytecode and the app's database in *folder*."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"PYTHONPYCACHEPREFIX": folder, "FLASK_DATABASE_URL": f"sqlite:///{folder}/app.db"}
    root = Path(__file__).parents[1]
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "flask", *COMMANDS[command]],
        cwd=root,
        env=environment,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - start


def main() -> None:
    options = parser_of(__doc__, rounds=20).parse_args()
    taken = []
    with TemporaryDirectory() as folder:
        for number in range(options.rounds + 1):
            commands = list(COMMANDS) if number % 2 else list(COMMANDS)[::-1]
            taken.append({command: seconds_of(command, folder) for command in commands})
    medians = {command: statistics.median(times[command] for times in taken[1:]) for command in COMMANDS}
    ratios = [times["flask events list"] / times["flask routes"] for times in taken[1:]]
    figures = {
        "milliseconds": {command: round(median * 1000) for command, median in medians.items()},
        "ratio of medians": round(medians["flask events list"] / medians["flask routes"], 3),
        "ratio": {"min": min(ratios), "median": statistics.median(ratios), "max": max(ratios)},
    }
    keep(figures, options, ("flask", "click", "sqlalchemy"))


if __name__ == "__main__":
    main()
