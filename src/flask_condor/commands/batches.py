"""Long work in batches: a transaction each, a progress bar on a terminal, and Ctrl-C between two of them."""

from __future__ import annotations

import signal
import sys
import time
import typing as t
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager

import click

from ..errors import LogUnavailable

if t.TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from ..log import Log

    class Work(t.Protocol):
        """What is done in batches, each in the transaction that it is given; gives how many it did."""

        @property
        def is_over(self) -> bool: ...

        def batch(self, connection: Connection) -> int: ...


SHORTEST_PAUSE = 0.005
"""Seconds between two transactions, at the least, in which others get their turn to write."""


class Interruption:
    """Whether Ctrl-C was pressed."""

    is_there = False


def run_in_batches(log: Log, work: Work, *, count: int, label: str, go_on: Callable[[], str], is_json: bool) -> int:
    """Do all of *work*, and return how much it was.

    :param count: how much there is to do. :param label: what is shown before the bar, such as "Pruning".
    :param go_on: gives the command that does the rest.
    :raises click.ClickException: when it was interrupted, or the database failed: it says how much was done.
    """
    done = 0
    is_hidden = is_json or not sys.stderr.isatty()
    with (
        click.progressbar(length=count, label=label, file=sys.stderr, hidden=is_hidden) as bar,
        noting_interruption() as interruption,
    ):
        while not work.is_over:
            rest, began = go_on(), time.monotonic()
            try:
                batch = do_batch(log, work)
            except LogUnavailable as error:
                raise ended_early(str(error), done, count, rest) from error
            done += batch
            bar.update(batch)
            if interruption.is_there and not work.is_over:
                raise ended_early("interrupted.", done, count, go_on())
            time.sleep(pause_after(log, time.monotonic() - began))
    return done


def pause_after(log: Log, seconds: float) -> float:
    """Return for how long others get their turn after a batch: on SQLite, which has one writer, as long as it took."""
    return max(SHORTEST_PAUSE, seconds if log.engine.dialect.name == "sqlite" else 0.0)


def do_batch(log: Log, work: Work) -> int:
    with log.change("the rest was not done") as connection:
        return work.batch(connection)


def ended_early(why: str, done: int, count: int, go_on: str) -> click.ClickException:
    told = f"{why} {done:,} of {count:,} are done, and stay so. To go on: {go_on}"
    return click.ClickException(told)


@contextmanager
def noting_interruption() -> Iterator[Interruption]:
    """Let the first Ctrl-C be noted, so that no batch ends halfway; the second ends the process as usual."""
    interruption = Interruption()
    before = signal.getsignal(signal.SIGINT)

    def note(*_: object) -> None:
        interruption.is_there = True
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield interruption
    finally:
        signal.signal(signal.SIGINT, before)
