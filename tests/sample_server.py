"""The sample app as its pages have it served: in debug mode, by ``flask run``, with the worker that comes with it."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import ROOT
from tests.servers import wait_until_it_listens

PORT = 3002
SERVER = f"flask run --debug -p {PORT}"


@contextmanager
def sample_app(folder: Path, port: int) -> Iterator[None]:
    """Serve the sample app by the command of the page."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("CONDOR", "FLASK", "PYTEST"))}
    place = {"FLASK_DATABASE_URL": f"sqlite:///{folder / 'app.db'}", "FLASK_OUTBOX": str(folder / "outbox")}
    command = [sys.executable, "-m", *SERVER.replace(str(PORT), str(port)).split()]
    output = folder / "server.log"
    with output.open("wb") as file:
        server = subprocess.Popen(command, cwd=ROOT, env=ours | place, stdout=file, stderr=file, start_new_session=True)
    try:
        wait_until_it_listens(port, server)
        yield
    finally:
        os.killpg(server.pid, signal.SIGKILL)  # with the process that the reloader has started
        server.wait(30)


@contextmanager
def port_of_the_page() -> Iterator[None]:
    """Wait until port 3002 is free, and keep it so from other tests."""
    with open("/tmp/condor-test-port-3002", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        until = time.monotonic() + 60
        while is_taken():
            assert time.monotonic() < until, "port 3002 is taken by another program"
            time.sleep(0.5)
        yield


def is_taken() -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", PORT)) == 0
