"""The commands ``flask events``: what each needs is imported when it runs."""

from __future__ import annotations

import signal
import sys
import typing as t
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager

import click
from flask.cli import ScriptInfo
from flask.cli import pass_script_info

from .commands.loading import CondorMissing
from .commands.loading import Refused
from .commands.loading import load_app
from .commands.shown import LazyGroup
from .commands.shown import command
from .commands.shown import manager_here
from .commands.shown import manager_of
from .errors import CondorError

if t.TYPE_CHECKING:
    from .manager import EventsManager

COMMANDS = {
    "abort": "operating_on_many:abort",
    "asyncapi": "describing:asyncapi",
    "cancel": "stored:cancel",
    "check": "checking:check",
    "db": "tables:db",
    "demo": "demonstrating:demo",
    "doctor": "diagnosing:doctor",
    "explain": "explaining:explain",
    "failures": "failing:failures",
    "fire": "firing:fire",
    "forget": "moving:forget",
    "gen": "gen:gen",
    "init": "init:init",
    "list": "listing:list_events",
    "log": "logged:log",
    "mute": "failing:mute",
    "new": "new:new",
    "openapi": "describing:openapi",
    "password": "password:password",
    "operations": "operating_on_many:operations",
    "pause": "pausing:pause",
    "prune": "pruning:prune",
    "purge": "operating_on_many:purge",
    "replay": "stored:replay",
    "resume": "pausing:resume",
    "retry": "stored:retry",
    "run-now": "moving:run_now",
    "show": "showing:show_one",
    "stats": "counting:stats",
    "tail": "following:tail",
    "token": "tokens:token",
    "webhook": "webhooks:webhook",
    "unmute": "failing:unmute",
}


@click.group("events", cls=LazyGroup, lazy=COMMANDS, invoke_without_command=True)
@click.pass_context
def events(ctx: click.Context) -> None:
    """See what events do, run queued jobs, look after the log."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
        look_for_condor()


@command
def look_for_condor() -> None:
    """Tell what to add where the app has no Condor yet."""
    manager_here()


@events.command("worker")
@click.option("--processes", type=click.IntRange(1, 256), default=1, show_default=True, help="Worker processes.")
@click.option("--threads", type=click.IntRange(1, 1000), default=4, show_default=True, help="Jobs at once in each.")
@click.option("--once", is_flag=True, help="Run what is due now, in this process, and exit.")
@click.option(
    "--timeout",
    type=click.IntRange(min=1),
    default=30,
    show_default=True,
    help="Seconds after which a process that hangs as a whole is replaced. Jobs have a timeout of their own.",
)
@click.option(
    "--graceful-timeout",
    type=click.IntRange(min=0),
    default=30,
    show_default=True,
    help="Seconds that running jobs are given when the worker ends; then they go back to the queue.",
)
@pass_script_info
def worker(info: ScriptInfo, *, processes: int, threads: int, once: bool, timeout: int, graceful_timeout: int) -> None:
    """Run the jobs that are queued, until INT (Ctrl-C) or TERM.

    HUP loads the app anew in new processes; TTIN and TTOU add and remove one. With --once the exit status is 0 also
    when jobs have failed, or wait for a worker that knows them; 1 when the event log is away, or a job hangs.
    """
    if once and processes != 1:
        raise click.UsageError("--once runs in this process: leave --processes out.")
    from .supervisor import say
    from .supervisor import supervise

    if not once:
        say(f"Running queued jobs in {processes} x {threads} threads. Ctrl-C ends it.")
        supervise(
            lambda: manager_of(load_app(info)).app,
            processes=processes,
            threads=threads,
            timeout=timeout,
            grace=graceful_timeout,
        )
    try:
        run_once(manager_of(load_app(info)), threads, float(graceful_timeout))
    except CondorMissing:
        raise
    except (CondorError, Refused) as error:
        raise click.ClickException(str(error)) from error


def run_once(manager: EventsManager, threads: int, grace: float) -> None:
    """Run what is due, with a progress bar on a terminal, and tell the totals."""
    from .plan import Plan
    from .presence import count_due
    from .report import show_log
    from .supervisor import leave
    from .worker import Worker

    is_terminal = sys.stderr.isatty()
    if not is_terminal:
        show_log()
    with manager.log.read() as connection:
        due = count_due(connection)
    with click.progressbar(length=due, label="Running jobs", file=sys.stderr, hidden=not is_terminal) as bar:
        plan = Plan(threads=threads, grace=grace, once=True, on_run=lambda _: bar.update(1))
        once = Worker(manager, plan)
        with ended_by_signals(once.end):
            once.open()
            once.run()
    if is_terminal:
        click.echo(once.summary, err=True)
    if once.is_stuck:
        leave(1)


@contextmanager
def ended_by_signals(end: Callable[[], object]) -> Iterator[None]:
    """Let TERM and INT (Ctrl-C) call *end* meanwhile."""
    before = {number: signal.signal(number, lambda *_: end()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
