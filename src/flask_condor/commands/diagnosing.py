"""``flask events doctor``: what is wrong with this installation, whether the app can be loaded or not."""

from __future__ import annotations

import typing as t

import click
from flask.cli import ScriptInfo
from flask.cli import pass_script_info

from .loading import reason_of
from .shown import as_json
from .shown import show

if t.TYPE_CHECKING:
    from ..remarks import Remark


@click.command("doctor")
@as_json
@pass_script_info
def doctor(info: ScriptInfo, is_json: bool) -> None:
    """Tell what is wrong with this set-up, and what to do.

    Looks at the app, its settings, the event log and its workers; changes nothing, and makes no database. Exit status 1
    when there are errors.
    """
    from ..diagnosis import look_at_extras

    remarks = [*remarks_on(info), look_at_extras()]
    show(is_json, ["State", "Subject", "Found"], [(one.level, one.subject, one.said) for one in remarks])
    if any(one.level == "error" for one in remarks):
        click.get_current_context().exit(1)


def remarks_on(info: ScriptInfo) -> t.Iterator[Remark]:
    from ..diagnosis import diagnose
    from ..ingress.diagnosis import STEPS
    from ..remarks import Remark
    from ..remarks import remarks_of

    try:
        app = info.load_app()
    except SystemExit as error:
        yield Remark("error", "app", f"it ends the process while it is loaded, with {error.code!r}: correct that.")
    except Exception as error:  # whatever the user's code raises while it is imported or called
        reason = reason_of(error)
        said = f"none was found: {error}" if reason is None else f"{reason} Correct it, and run this again."
        yield Remark("error", "app", said)
    else:
        yield Remark("ok", "app", f"{app.name!r} is loaded, from {app.root_path}")
        yield from diagnose(app)
        for step in STEPS if "condor" in app.extensions else ():
            yield from remarks_of(step, app.extensions["condor"])
