"""What all commands share: the app's manager, errors in one line, ids as they are typed, tables and JSON."""

from __future__ import annotations

import functools
import json
import typing as t
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import contextmanager
from importlib import import_module

import click
from flask import current_app
from flask.cli import ScriptInfo
from flask.cli import with_appcontext

from ..errors import CondorError
from ..errors import LogUnavailable
from ..errors import SchemaMismatch
from ..operating import check_target
from .loading import CondorMissing
from .loading import Refused as Refused
from .loading import load_app

if t.TYPE_CHECKING:
    from flask import Flask

    from ..manager import EventsManager

P = t.ParamSpec("P")

as_json = click.option("--json", "is_json", is_flag=True, help="Print one JSON object a line.")


class LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for, and tell what is wrong in one line.

    :param lazy: where each command is, as "module:name" within this package.
    """

    def __init__(self, *args: t.Any, lazy: dict[str, str] | None = None, **kwargs: t.Any) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = lazy or {}

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: t.Any
    ) -> click.Context:
        with in_one_line():
            refuse_odd(args)
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> t.Any:
        with in_one_line(ctx):
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *self._lazy})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._lazy:
            return super().get_command(ctx, cmd_name)
        module, _, name = self._lazy[cmd_name].partition(":")
        found: click.Command = getattr(import_module(f".{module}", __package__), name)
        return found


@contextmanager
def in_one_line(group: click.Context | None = None) -> Iterator[None]:
    """Turn what click prints of a wrong command line, with its usage, into one line that says what to type.

    :param group: that of the command, for the errors of options that do not know it.
    """
    try:
        yield
    except (click.exceptions.NoArgsIsHelpError, CondorMissing):
        raise
    except click.UsageError as error:
        told = sentence(line_of(error.format_message()))
        raise Refused(f"{told} See `{path_of(error.ctx, group)} --help`.") from error
    except click.ClickException as error:
        kind = Refused if error.exit_code == Refused.exit_code else click.ClickException
        raise kind(line_of(error.message)) from error


def path_of(command: click.Context | None, group: click.Context | None) -> str:
    """Return how a command is typed; as near to it as is known."""
    if command is not None or group is None:
        return command.command_path if command else "flask events"
    return " ".join(filter(None, (group.command_path, group.invoked_subcommand)))


def refuse_odd(args: Sequence[str]) -> None:
    """Make sure that *args* are text: bytes of another encoding become halves of characters, which nothing can hold."""
    for arg in args:
        if "\0" in arg or not arg.isascii() and any("\ud800" <= letter <= "\udfff" for letter in arg):
            raise Refused(f"the argument {arg!r} is no UTF-8 text: type it in UTF-8.")


def sentence(text: str) -> str:
    """Return *text* with a full stop, unless it ends like a sentence already."""
    return text if text.endswith((".", "?", "!")) else f"{text}."


def line_of(text: str) -> str:
    """Return *text* on one line, with what a terminal would act upon spelled out."""
    return cell_of(" ".join(text.split()))


def command(function: Callable[P, None]) -> Callable[P, None]:
    """Run a command in the app's context, and tell errors in one line: exit status 2 for bad input, else 1."""

    in_app = with_appcontext(function)

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            if not current_app:
                load_app(click.get_current_context().ensure_object(ScriptInfo))
            in_app(*args, **kwargs)
        except (LogUnavailable, SchemaMismatch) as error:
            raise click.ClickException(str(error)) from error
        except CondorError as error:
            raise Refused(str(error)) from error

    return t.cast("Callable[P, None]", run)


def manager_here() -> EventsManager:
    """Return the events manager of the current app."""
    return manager_of(current_app)


def manager_of(app: Flask) -> EventsManager:
    """Return the events manager of *app*, or tell what to add where it has none."""
    manager: EventsManager | None = app.extensions.get("condor")
    if manager is None:
        raise CondorMissing(f"app {app.name!r} has no Condor.")
    return manager


def target_from(text: str) -> int | str:
    """Return the number of a delivery, or else the id of an event, as somebody typed it."""
    return check_target(int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else text)


def show(is_json: bool, headers: Sequence[str], rows: Iterable[Sequence[object]], empty: str = "") -> None:
    """Print *rows* in columns, like ``flask routes``, or one JSON object a line, its keys the *headers* in lower case.

    :param empty: what to say instead of a table without rows.
    """
    if is_json:
        for row in rows:
            click.echo(json.dumps(dict(zip(map(str.lower, headers), row, strict=True))))
        return
    cells = [[cell_of(value) for value in row] for row in rows]
    if not cells:
        click.echo(empty)
        return
    widths = [max(map(len, column)) for column in zip(headers, *cells, strict=True)]
    for line in (headers, ["-" * width for width in widths], *cells):
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def unless_off(empty: str) -> str:
    """Return what to say where the log holds nothing: *empty*, unless nothing in the app needs a log."""
    if manager_here().queueing.is_needed:
        return empty
    return "The event log is off while no job is queued and no CONDOR_DATABASE_URL is set."


def cell_of(value: object) -> str:
    """Return *value* as text that stays in its cell: what a terminal would act upon is spelled out."""
    if isinstance(value, float):
        return f"{value:.3g} s" if value < 999.5 else f"{value:.0f} s"
    text = "-" if value is None else str(value)
    return text if text.isprintable() else repr(text)[1:-1]
