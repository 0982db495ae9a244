"""The processes under test: gunicorn with the shop, `flask events worker`, and the kills."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).parents[2]
SHOP = "tests.reliability.shop:create_app()"
LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1
T = TypeVar("T")


class Running:
    """A process under test with its children, in a session of its own; what it prints goes to a file."""

    def __init__(self, command: list[str], environment: dict[str, str], output: Path) -> None:
        self.output = output
        with output.open("ab") as file:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=os.environ | environment,
                stdout=file,
                stderr=file,
                start_new_session=True,
                preexec_fn=end_with_parent,
            )
        self.pid = self.process.pid

    def children(self) -> list[int]:
        """Return the pids of its living children, by age."""
        listed = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        pids = [int(pid) for pid in listed.read_text().split()] if listed.exists() else []
        return [pid for pid in pids if is_alive(pid)]

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM, within: float = 30) -> None:
        """Send a signal and wait for the end, of the children too; whoever does not end is killed."""
        if self.process.poll() is None:
            self.send(number)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(within)
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait(10)

    def said(self, text: str) -> bool:
        return text in self.output.read_text(errors="replace")


def end_with_parent() -> None:
    """Have the kernel end this process when the one that started it dies."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@contextmanager
def running(command: list[str], environment: dict[str, str], output: Path) -> Iterator[Running]:
    """Run a command, and end it and its children whatever happens."""
    started = Running(command, environment, output)
    try:
        yield started
    finally:
        started.end()


def gunicorn_command(port: int, *options: str) -> list[str]:
    bind = f"--bind=127.0.0.1:{port}"
    return [sys.executable, "-m", "gunicorn", SHOP, bind, "--workers=2", "--log-level=warning", *options]


def events_command(*words: str) -> list[str]:
    return [sys.executable, "-m", "flask", "--app", SHOP, "events", *words]


def is_alive(pid: int) -> bool:
    """Tell whether the process exists and has not ended; one that waits to be reaped has."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


def kill(pid: int) -> bool:
    """Kill a process, and wait until it is dead; return False when it was dead before."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    wait_for(lambda: not is_alive(pid), f"process {pid} did not die")
    return True


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def wait_for(condition: Callable[[], T], otherwise: str, seconds: float = 60) -> T:
    """Return what *condition* gives as soon as that is true; fail with *otherwise* when it has not in *seconds*."""
    until = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < until, f"{otherwise} within {seconds:.0f} s"
        time.sleep(0.02)


def memory_of(pid: int) -> float:
    """Return the resident memory of a process, in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def processor_seconds(pid: int) -> float:
    """Return for how long a process has had a processor, in its own code and in the kernel's."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
