"""The supervisor: gunicorn's arbiter keeps worker processes alive; imported only by the command that starts it."""

from __future__ import annotations

import faulthandler
import logging
import mmap
import os
import signal
import sys
import time
import typing as t
from collections.abc import Callable
from contextlib import suppress

import click
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer
from gunicorn.workers.base import Worker as GunicornWorker

from .begun import Begun
from .begun import Left
from .errors import CondorError
from .errors import shorten
from .line import tell

if t.TYPE_CHECKING:
    from flask import Flask

    from .worker import Worker

LAST_WRITES = 5
"""Seconds that a worker has beyond its grace to give back what still runs, before it is killed."""
NOTE = 4096
"""Bytes of shared memory in which a process that cannot start leaves the reason."""
IGNORED = (signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH)
"""What a terminal or an operator sends to all processes, and the arbiter answers for its workers."""


class Supervisor(Arbiter):
    """Starts worker processes, and replaces those that end; TERM and INT let running jobs finish.

    A job may end its process with any status, so the two by which gunicorn tells that a start failed mean nothing
    here: :class:`JobProcess` leaves a note instead.
    """

    WORKER_BOOT_ERROR = -1
    APP_LOAD_ERROR = -1
    handle_int = Arbiter.handle_term

    _looked_at = 0.0
    _patient_until = 0.0
    is_halting = False

    def handle_usr2(self) -> None:
        """Refuse to start a second arbiter: HUP replaces the workers one by one."""
        say("USR2 is refused: send HUP to load the app anew in new worker processes.")

    def murder_workers(self) -> None:
        """Kill the workers that hang, save after a time in which this process was stopped itself, and they with it."""
        now = time.monotonic()
        if now - self._looked_at > self.timeout / 2:
            self._patient_until = now + self.timeout
        self._looked_at = now
        if now >= self._patient_until:
            super().murder_workers()

    def halt(self, reason: str | None = None, exit_status: int = 0) -> t.NoReturn:
        """End the workers, then this process; tell *reason*."""
        self.is_halting = True
        self.stop()
        if reason:
            say(f"Error: {reason}")
        sys.exit(exit_status)


class JobProcess(GunicornWorker):
    """A worker process: loads the app after the fork, and runs a :class:`~flask_condor.worker.Worker` in it."""

    def __init__(self, *args: t.Any) -> None:
        super().__init__(*args)
        self.note = mmap.mmap(-1, NOTE)
        self.begun = Begun()
        application = t.cast("JobApplication", self.app)
        self._left, application.left = tuple(application.left), []
        self._worker: Worker | None = None

    def init_process(self) -> None:
        self.notify()
        super().init_process()

    def init_signals(self) -> None:
        """Set what each signal does; ABRT ends the process, as no Python code runs while a job's C code hangs."""
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        for number in IGNORED:
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self._end(None))
        signal.signal(signal.SIGQUIT, lambda *_: self._end(0.0))
        faulthandler.enable()

    def load_wsgi(self) -> None:
        """Load the app and open the event log; what can never work is told to the arbiter, which then ends."""
        from .plan import Plan
        from .report import show_log
        from .worker import Worker

        grace = float(self.cfg.graceful_timeout - LAST_WRITES)
        plan = Plan(threads=self.cfg.threads, grace=grace, alive=self._live, on_begin=self.begun.add, left=self._left)
        try:
            app = t.cast("Flask", self.app.wsgi())
            show_log()
            self._worker = Worker(app.extensions["condor"], plan)
            self.begun.by(self._worker.id)
            self._worker.open()
        except (CondorError, click.ClickException) as error:
            self._give_up(str(error))
        except Exception as error:  # whatever the app raises while it is made
            tell(logging.getLogger(__name__), "app_not_loaded", "the app could not be loaded", error=error)
            self._give_up(f"the app could not be loaded: {type(error).__name__}: {shorten(error)}")

    def run(self) -> None:
        worker = t.cast("Worker", self._worker)
        if self.alive:
            worker.run()
        if worker.is_stuck:
            leave(1 if worker.is_broken else 0)

    def _give_up(self, reason: str) -> None:
        text = reason.encode()[:NOTE]
        self.note[: len(text)] = text
        sys.exit(0)

    def _live(self) -> None:
        self.notify()
        if os.getppid() != self.ppid:
            self._end(None)

    def _end(self, grace: float | None) -> None:
        self.alive = False
        if self._worker is not None:
            self._worker.end(grace)


class JobApplication(BaseApplication):
    """What gunicorn is told: no socket, and how to load the app.

    :param load: loads the Flask app; called in each worker process.
    """

    def __init__(self, load: Callable[[], Flask], **settings: t.Any) -> None:
        self.left: list[Left] = []
        """What processes that have ended left to the one that is started next."""
        self._load = load
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        fixed = {
            "bind": [],
            "worker_class": JobProcess,
            "control_socket_disable": True,
            "loglevel": "warning",
            "child_exit": take_leave,
            "proc_name": "flask events worker",
        }
        for name, value in (fixed | self._settings).items():
            self.cfg.set(name, value)

    def load(self) -> t.Any:
        return self._load()


def supervise(load: Callable[[], Flask], *, processes: int, threads: int, timeout: int, grace: int) -> t.NoReturn:
    """Keep *processes* worker processes alive until TERM or INT; does not return.

    :param timeout: seconds after which a process is killed whose main loop stands still.
    :param grace: seconds that running jobs are given at the end.
    """
    os.environ.pop("GUNICORN_PID", None)
    settings = {"workers": processes, "threads": threads, "timeout": timeout, "graceful_timeout": grace + LAST_WRITES}
    Supervisor(JobApplication(load, **settings)).run()
    sys.exit(0)


def take_leave(supervisor: Supervisor, process: JobProcess) -> None:
    """Keep what *process* has left for the next; end everything when it could not start, as that would not either."""
    if left := process.begun.left():
        t.cast("JobApplication", supervisor.app).left.append(left)
    process.begun.close()
    reason = bytes(process.note).rstrip(b"\0").decode(errors="replace")
    process.note.close()
    if reason and not supervisor.is_halting:
        raise HaltServer(reason, 1)


def say(text: str) -> None:
    """Print *text* for the operator, unless that cannot be, as on a full disk: what is printed to must stop nothing."""
    with suppress(OSError):
        click.echo(text, err=True)


def leave(status: int) -> t.NoReturn:
    """End the process although threads of it still run."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # on a full disk, say
            stream.flush()
    os._exit(status)
