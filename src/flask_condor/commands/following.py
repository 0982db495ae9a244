"""``flask events tail``: what happens, as it happens."""

from __future__ import annotations

import json
import os
import sys
import time
import typing as t
from collections.abc import Callable
from collections.abc import Iterable

import click

from ..errors import LogUnavailable
from ..errors import SchemaMismatch
from .shown import as_json
from .shown import cell_of
from .shown import command
from .shown import manager_here
from .times import iso_time
from .times import shown_time

if t.TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from ..history import Line
    from ..log import Log

    Look = Callable[..., list[Line]]
    Happening = tuple[float, str, Line]
    """When something happened, what, and to which."""

LAST = 10
"""How many lines are shown of what has happened before."""
EVERY = 0.5
"""Seconds between two looks."""
OVERLAP = 5.0
"""Seconds that each look goes back: what happened then may be written only now, or by a clock that is behind."""


@click.command("tail")
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens from now on, until Ctrl-C.")
@as_json
@command
def tail(follow: bool, is_json: bool) -> None:
    """Show the last events that were fired, and runs that ended.

    Runs end as done, dead or cancelled; a failed attempt that is tried again is none of them.
    """
    log = manager_here().log
    try:
        watched = Watched()
        write(watched.last(log), is_json=is_json)
        while follow:
            time.sleep(EVERY)
            write(watched.next(log), is_json=is_json)
    except KeyboardInterrupt:
        return
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Stream:
    """One kind of happening, of which each is met once.

    :param look: reads them, the newest first.
    """

    def __init__(self, look: Look, happening: Callable[[Line], Happening]) -> None:
        self._look = look
        self._happening = happening
        self._seen: set[Happening] = set()
        self._newest = 0.0

    def last(self, connection: Connection) -> list[Happening]:
        """Return the last few."""
        found = [self._happening(line) for line in self._look(connection, most=LAST)]
        self._newest = found[0][0] if found else 0.0
        self.next(connection)
        return found

    def next(self, connection: Connection) -> list[Happening]:
        """Return those that were not there before."""
        since = min(self._newest, time.time()) - OVERLAP
        found = [self._happening(line) for line in self._look(connection, since)]
        new = [one for one in found if one not in self._seen]
        self._seen = set(found)
        self._newest = max([self._newest, *(at for at, _, _ in new)])
        return new


class Watched:
    """The events that are fired, and the runs that end."""

    def __init__(self) -> None:
        from ..history import ended
        from ..history import fired

        self._streams = (Stream(fired, fire_of), Stream(ended, end_of))
        self._is_away = False

    def last(self, log: Log) -> list[Happening]:
        """Return the last few, the newest last."""
        from ..history import reading

        with reading(log) as connection:
            return in_order(one for stream in self._streams for one in stream.last(connection))[-LAST:]

    def next(self, log: Log) -> list[Happening]:
        """Return what has happened since the last look; nothing while the database is away, which is told."""
        from ..history import reading

        try:
            with reading(log) as connection:
                found = in_order(one for stream in self._streams for one in stream.next(connection))
        except SchemaMismatch:
            raise
        except LogUnavailable as error:
            if not self._is_away:
                click.echo(f"{cell_of(error)} Waiting for it; Ctrl-C ends.", err=True)
            self._is_away = True
            return []
        if self._is_away:
            click.echo("The event log is back.", err=True)
        self._is_away = False
        return found


def in_order(happenings: Iterable[Happening]) -> list[Happening]:
    return sorted(happenings, key=lambda one: (one[0], one[2].event_id, one[2].delivery or 0))


def fire_of(line: Line) -> Happening:
    return line.fired_at, "orphan" if line.is_orphan else "fired", line


def end_of(line: Line) -> Happening:
    return line.finished_at or 0.0, line.state or "", line


def write(happenings: Iterable[Happening], *, is_json: bool) -> None:
    for at, what, line in happenings:
        click.echo(json.dumps(fields_of(at, what, line)) if is_json else told_of(at, what, line))


def told_of(at: float, what: str, line: Line) -> str:
    run: tuple[object, ...] = (line.event_id,)
    if line.delivery is not None:
        run = ((line.job or "").rpartition(":")[2], line.delivery, line.seconds)
    return "  ".join([cell_of(shown_time(at)), what.ljust(9), *map(cell_of, (line.name, *run))])


def fields_of(at: float, what: str, line: Line) -> dict[str, object]:
    return {
        "time": iso_time(at),
        "what": what,
        "event": line.name,
        "id": line.event_id,
        "delivery": line.delivery,
        "job": line.job,
        "run": line.run,
        "attempt": line.attempt,
        "took": line.seconds,
    }
