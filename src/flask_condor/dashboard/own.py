"""What the app's own code says of its events: the constants that name them, and where they are fired; read once."""

from __future__ import annotations

import typing as t

import msgspec
from flask import current_app

from ..checks import code_of
from ..firings import Firings
from ..own_code import Constant
from ..own_code import Place
from .here import manager

CODE = "condor-own-code"
"""The key in ``app.extensions`` of what was read: a process does not see its code change."""


class Said(msgspec.Struct, frozen=True):
    """What the code of one app says."""

    constants: dict[str, Constant]
    """The first constant of each name."""
    places: dict[str, list[Place]]
    """Where each name is fired."""
    untold: list[Place]
    """Where something is fired whose name is only known when the code runs."""


def said_here() -> Said:
    """Return what the code of this app says; it is read at the first call."""
    known = current_app.extensions.get(CODE)
    if known is None:
        code = code_of(manager())
        firings = Firings(code)
        constants = {constant.value: constant for constant in reversed(code.constants)}
        known = current_app.extensions[CODE] = Said(constants, firings.places, firings.untold)
    return t.cast(Said, known)
