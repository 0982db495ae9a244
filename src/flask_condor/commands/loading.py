"""Loading the app for a command: what a broken or missing app did wrong, in one line that names the user's own code."""

from __future__ import annotations

import typing as t

import click
from flask.cli import NoAppException

from ..errors import CondorError
from ..errors import LogUnavailable
from ..errors import shorten
from ..places import place_of

if t.TYPE_CHECKING:
    from flask import Flask
    from flask.cli import ScriptInfo

TWO_LINES = """Where it is made, add:
    from flask_condor import Condor
    Condor(app, register_events=register_events)
`flask events init` makes the register_events.py it takes; `flask events new NAME` makes a whole app."""
"""What to add to an app, as a message ends with it."""


class Refused(click.ClickException):
    """Bad input: told in one line, with exit status 2."""

    exit_code = 2


class CondorMissing(Refused):
    """There is no app, or none with Condor: told with the two lines to add."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} {TWO_LINES}")


def load_app(info: ScriptInfo) -> Flask:
    """Return the app that ``flask`` was started for.

    :raises CondorMissing: when there is none. :raises Refused: when it cannot be loaded, with the file and line of the
        user's own code.
    :raises LogUnavailable: when it uses the event log while it is made, and that cannot be reached.
    """
    try:
        return info.load_app()
    except LogUnavailable:
        raise
    except Exception as error:  # whatever the user's code raises while it is imported or called
        reason = reason_of(error)
        if reason is None:
            raise CondorMissing(f"no app was found: {shorten(error)}") from error
        raise Refused(f"the app cannot be loaded: {reason} Run `flask events doctor` to see what else.") from error


def reason_of(error: Exception) -> str | None:
    """Return what the app raised, and where, as a sentence; None when there is no app to raise anything."""
    cause: BaseException = error
    if isinstance(error, NoAppException):
        within = error.__context__
        if not (isinstance(within, ImportError) and within.__traceback__ and within.__traceback__.tb_next):
            return None
        cause = within
    told = shorten(SyntaxError(cause.msg) if isinstance(cause, SyntaxError) else cause, 1000).rstrip(".")
    kind = "" if isinstance(cause, CondorError) else type(cause).__name__
    said = ": ".join(part for part in (place_of(cause), kind, told) if part)
    return said if said.endswith(("?", "!")) else f"{said}."
