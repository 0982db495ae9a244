"""Queued jobs and servers: the development server runs them, gunicorn does not and says so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.ports import kept_port
from tests.servers import ROOT
from tests.servers import gunicorn
from tests.workers import Bench
from tests.workers import bench as bench

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@contextmanager
def flask_run(bench: Bench, *options: str) -> Iterator[None]:
    with kept_port() as port, bench.log_file.open("ab") as log:
        command = [sys.executable, "-m", "flask", "--app", "tests.apps.queued", "run", "-p", str(port), *options]
        server = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
        try:
            yield
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


@pytest.mark.parametrize("options", [(), ("--debug",)], ids=["plain", "with the reloader"])
def test_the_development_server_runs_queued_jobs_in_one_process(bench: Bench, options: tuple[str, ...]) -> None:
    bench.fire("ok")
    with flask_run(bench, *options):
        bench.wait_for(lambda: bench.states() == ["done"])
        bench.fire("ok", times=20)
        bench.wait_for(lambda: bench.states() == ["done"] * 21)

    assert len({pid for _, _, pid in bench.runs()}) == 1
    assert "job tests.apps.queued:ok of event ok done in" in bench.log()


def test_gunicorn_runs_no_queued_job_and_says_that_nobody_does(bench: Bench, capfd: pytest.CaptureFixture[str]) -> None:
    bench.fire("ok", times=2)
    told = ""

    with gunicorn("tests.apps.queued:create_app()") as server:
        server.get_all(["/"])

        def has_told() -> bool:
            nonlocal told
            told += capfd.readouterr().err
            return "2 waiting, no worker seen: run `flask events worker`" in told

        bench.wait_for(has_told)

    assert bench.runs() == []
    assert bench.states() == ["pending"] * 2
