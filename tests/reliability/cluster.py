"""The cluster: a PostgreSQL server of one test's own, which may be stopped as no other test would like it."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from tests.ports import kept_port
from tests.reliability.processes import LIBC
from tests.reliability.processes import PR_SET_PDEATHSIG
from tests.reliability.processes import wait_for

OWNER = "postgres"
"""Whom the server runs as when the tests run as root, as whom it refuses to start."""


class Cluster:
    """A PostgreSQL server on *port* of 127.0.0.1, with its data and its log in *folder*; stopped when it is made.

    It ends with the thread that started it last, so with pytest, also when that is killed.
    """

    def __init__(self, folder: Path, port: int, programs: Path) -> None:
        self.url = f"postgresql+psycopg://{OWNER}@127.0.0.1:{port}/postgres"
        self._folder = folder
        self._port = port
        self._programs = programs
        self._owner = OWNER if os.geteuid() == 0 else None
        self._server: subprocess.Popen[bytes] | None = None
        self._engine = create_engine(self.url, poolclass=NullPool)

    def make(self) -> None:
        """Make the data."""
        if self._owner:
            shutil.chown(self._folder, self._owner)
        words = (f"--username={OWNER}", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
        subprocess.run(
            [self._programs / "initdb", self._folder / "data", *words],
            cwd=self._folder,
            user=self._owner,
            check=True,
            capture_output=True,
        )

    def start(self) -> None:
        """Start the server, and wait until it lets clients in."""
        settings = ("listen_addresses=127.0.0.1", f"port={self._port}", "unix_socket_directories=")
        words = [word for setting in settings for word in ("-c", setting)]
        with (self._folder / "server.log").open("ab") as log:
            self._server = subprocess.Popen(
                [self._programs / "postgres", "-D", self._folder / "data", *words],
                cwd=self._folder,
                user=self._owner,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=stop_with_parent,
            )
        wait_for(self._lets_in, f"PostgreSQL did not start: {self._folder}")

    def stop(self) -> None:
        """Stop it as `pg_ctl stop -m immediate` does: no goodbye to the clients, and recovery at the next start."""
        if self._server is not None:
            self._server.send_signal(signal.SIGQUIT)
            self._server.wait(30)
            self._server = None

    def _lets_in(self) -> bool:
        with suppress(OperationalError), self._engine.connect():
            return True
        return False


def stop_with_parent() -> None:
    """Have the kernel stop the server, in the same way, when the thread that started it ends."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)


@contextmanager
def own_cluster() -> Iterator[Cluster]:
    """Make a cluster and start it; at the end nothing of it is left."""
    programs = programs_of_postgresql()
    with tempfile.TemporaryDirectory(prefix="condor-cluster-") as folder, kept_port() as port:
        cluster = Cluster(Path(folder), port, programs)
        cluster.make()
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


def programs_of_postgresql() -> Path:
    """Return the folder of `initdb` and `postgres`; where there is none the test is skipped, in CI it fails."""
    folders = [Path(path) for path in os.environ["PATH"].split(os.pathsep)]
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = next(
        (folder for folder in folders if all((folder / name).exists() for name in ("initdb", "postgres"))), None
    )
    if found is None or (os.geteuid() == 0 and OWNER not in {one.pw_name for one in pwd.getpwall()}):
        assert not os.environ.get("CI"), "PostgreSQL's own programs are not installed"
        pytest.skip("PostgreSQL's own programs are not installed")
    return found
