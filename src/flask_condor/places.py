"""Places: which lines of code are the user's own, and how one is shown to them."""

from __future__ import annotations

import os
from pathlib import Path

NOT_OWN = ("<", f"{Path(os.__file__).parent}{os.sep}", f"{Path(__file__).parent}{os.sep}")
"""How the file of generated code begins, of the standard library, and of this package."""


def place_of(error: BaseException) -> str:
    """Return "file:line" of the innermost line of the user's own code that *error* came from, or "" without any."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{shown_path(error.filename)}:{error.lineno}"
    traceback, place = error.__traceback__, ""
    while traceback is not None:
        path = traceback.tb_frame.f_code.co_filename
        place = f"{shown_path(path)}:{traceback.tb_lineno}" if is_own(path) else place
        traceback = traceback.tb_next
    return place


def is_own(path: str) -> bool:
    """Tell whether a file is the user's own, rather than of Python, of an installed package, or generated."""
    return path.endswith(".py") and not path.startswith(NOT_OWN) and "site-packages" not in path


def shown_path(path: str) -> str:
    """Return *path* as seen from the current folder, where it is below that."""
    return path.removeprefix(os.path.join(os.getcwd(), ""))
