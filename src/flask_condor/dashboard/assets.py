"""The assets: scripts and styles of our own and of others, at URLs that change with what is in them."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from .here import base

FOLDER = Path(__file__).parent / "static"


def asset(name: str) -> str:
    """Return the URL of a file in the folder ``static``, which a browser may keep for ever."""
    return f"{base()}/static/{name}?v={digest_of(name)}"


@cache
def digest_of(name: str) -> str:
    """Return what tells this content of a file from any other; read once in a process."""
    return hashlib.sha256((FOLDER / name).read_bytes()).hexdigest()[:16]


@cache
def digest_of_pages() -> str:
    """Return the same of all that pages are made of, save what is stored."""
    files = sorted(path for path in FOLDER.parent.rglob("*") if path.suffix in (".html", ".py", ".css", ".js"))
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()[:16]
