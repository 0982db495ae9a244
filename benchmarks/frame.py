"""The frame of every benchmark: its options, and its result with the machine and versions, printed and kept."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import sys
from argparse import ArgumentParser
from argparse import Namespace
from argparse import RawDescriptionHelpFormatter
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any


def parser_of(doc: str | None, **defaults: int | float) -> ArgumentParser:
    """Return a parser with an option for each of *defaults*, and ``--json`` for where to keep the result."""
    parser = ArgumentParser(description=doc, formatter_class=RawDescriptionHelpFormatter)
    for name, default in defaults.items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    parser.add_argument("--json", type=Path, help="also write the result there")
    return parser


def keep(figures: dict[str, Any], options: Namespace, packages: Iterable[str], *, shown: bool = True) -> None:
    """Print the result, and write it where ``--json`` says.

    :param packages: those whose versions matter, beside Python and SQLite.
    :param shown: whether it is printed, unless the benchmark has shown it by itself.
    """
    result = {
        "python": sys.version.split()[0],
        "sqlite version": sqlite3.sqlite_version,
        "machine": f"{platform.machine()}, {platform.system()}, {os.cpu_count()} cores",
        "versions": {name: version(name) for name in ("Flask-Condor", *packages)},
        **{name: value for name, value in vars(options).items() if not isinstance(value, Path | None)},
        **figures,
    }
    text = json.dumps(result, indent=2)
    if shown:
        print(text)
    if options.json:
        options.json.write_text(text + "\n")
