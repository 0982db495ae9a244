"""The events folder that ``flask events init`` adds to an app."""

from __future__ import annotations

from pathlib import Path

from . import texts
from .changes import Change
from .generating import EVENT_NAMES
from .generating import JOBS
from .generating import REGISTER_EVENTS
from .refusal import ScaffoldRefused

FILES = {
    Path("events", "__init__.py"): "",
    EVENT_NAMES: texts.NAMES,
    JOBS / "__init__.py": "",
    REGISTER_EVENTS: texts.REGISTER,
}


def plan_folder(folder: Path) -> list[Change]:
    """Plan what of the events folder is missing; what is there stays as it is."""
    if (folder / "events.py").exists():
        raise ScaffoldRefused(
            "events.py is here, and a folder events/ would hide it from every import."
            " Nothing was written: rename it first."
        )
    for path in FILES:
        for part in (*path.parents[-2::-1], path):
            refuse_other_kind(folder, part, is_folder=part != path)
    return [Change(path, None, text) for path, text in FILES.items() if not (folder / path).exists()]


def refuse_other_kind(folder: Path, path: Path, *, is_folder: bool) -> None:
    found = folder / path
    if (found.exists() or found.is_symlink()) and not (found.is_dir() if is_folder else found.is_file()):
        raise ScaffoldRefused(f"{path} is here, and no {'folder' if is_folder else 'file'}. Nothing was written.")
