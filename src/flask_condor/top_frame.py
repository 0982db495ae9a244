"""The top frame: where in the app's own code an error was raised, by which failures that are alike are told."""

from __future__ import annotations

import os
from functools import lru_cache

PYTHON = os.path.join(os.path.dirname(os.path.realpath(os.__file__)), "")
CONDOR = os.path.join(os.path.dirname(os.path.realpath(__file__)), "")
DEMO = os.path.join(CONDOR, "demo", "")
"""The app of the demo: its code is its own, though it comes with Condor."""
INSTALLED = ("site-packages", "dist-packages")
"""The folders of packages that were installed, also where the virtual environment is in the app's folder."""


def top_frame(error: BaseException) -> str:
    """Return the innermost function of the app's own code that *error* came through, as "module:function", or ""."""
    found = ""
    trace = error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        if is_own(frame.f_code.co_filename):
            found = f"{frame.f_globals.get('__name__')}:{frame.f_code.co_qualname}"
        trace = trace.tb_next
    return found


@lru_cache(maxsize=1024)
def is_own(path: str) -> bool:
    """Tell whether *path* is a file of the app, and not one of Python, of a package or of Condor itself."""
    if path.startswith("<"):
        return False
    real = os.path.realpath(path)
    if real.startswith(DEMO):
        return True
    return set(INSTALLED).isdisjoint(path.split(os.sep)) and not real.startswith((PYTHON, CONDOR))
