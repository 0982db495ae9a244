"""The skeleton of a new project: the files at the top of Flask-Condor's own repository.

A wheel carries them in the package, an editable install reads them where they are.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from .names import check_project
from .refusal import ScaffoldRefused

PACKED = Path(__file__).parents[1] / "skeleton"
REPOSITORY = Path(__file__).parents[3]
EDITABLE = "-e ."
"""The line of the repository's requirements that stands for Flask-Condor itself."""


def make_project(name: str, parent: Path) -> list[Path]:
    """Write the skeleton to the folder *name*, which must be new or empty, and return the paths of what was written."""
    check_project(name)
    folder = parent / name
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        what = "is there already and not empty" if folder.is_dir() else "is there already, and no folder"
        raise ScaffoldRefused(f"{name} {what}. Choose another name; nothing was written.")
    written = []
    for path, source in skeleton():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content_of(path, source))
        written.append(path)
    return written


def content_of(path: Path, source: Path) -> bytes:
    """Return what a new project gets for *source*: the same, but for the line that installs the repository itself."""
    if path.name != "requirements.txt":
        return source.read_bytes()
    here = f"flask-condor=={metadata.version('flask-condor')}"
    return source.read_text(encoding="utf-8").replace(EDITABLE, here).encode()


def skeleton() -> list[tuple[Path, Path]]:
    """Return each file of the skeleton: its path in a new project, and where it is now."""
    parts = {PACKED: Path()} if PACKED.is_dir() else parts_in(REPOSITORY)
    return sorted((target / rest, source / rest) for source, target in parts.items() for rest in files_under(source))


def parts_in(repository: Path) -> dict[Path, Path]:
    """Read from the repository's ``pyproject.toml`` what a wheel packs as its skeleton."""
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))
    packed: dict[str, str] = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    here = PACKED.relative_to(repository / "src")
    return {repository / source: Path(target).relative_to(here) for source, target in packed.items()}


def files_under(source: Path) -> Iterator[Path]:
    """Find the files under *source*, or *source* itself, as paths relative to it."""
    found = sorted(source.rglob("*")) if source.is_dir() else [source]
    return (path.relative_to(source) for path in found if path.is_file() and "__pycache__" not in path.parts)
