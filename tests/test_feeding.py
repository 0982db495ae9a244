"""Two apps that feed each other by webhooks: real servers that speak TLS, and real workers, on either side."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.partners import Authority
from tests.ports import kept_port
from tests.servers import ROOT
from tests.servers import gunicorn

pytestmark = pytest.mark.reliability

NUMBERS = list(range(8))


@contextmanager
def working(environment: dict[str, str]) -> Iterator[None]:
    command = [sys.executable, "-m", "flask", "--app", "tests.apps.feeding", "events", "worker"]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | environment)
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def flask(environment: dict[str, str], *args: str) -> str:
    command = [sys.executable, "-m", "flask", "--app", "tests.apps.feeding", "events", *args]
    env = os.environ | environment
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=True).stdout


def test_what_one_app_posts_runs_in_the_other_whose_own_webhook_comes_back(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.certificate("localhost")
    with ExitStack() as stack:
        ports = {side: stack.enter_context(kept_port()) for side in ("first", "second")}
        sides = {
            side: {
                "SIDE": side,
                "HOME_OF_APP": str(tmp_path / side),
                "OTHER": f"https://localhost:{ports[other]}/trigger",
                "SSL_CERT_FILE": str(authority.file),
            }
            for side, other in (("first", "second"), ("second", "first"))
        }
        for side in sides:
            (tmp_path / side).mkdir()
        for side, environment in sides.items():
            tls = ("--bind", f"127.0.0.1:{ports[side]}", "--certfile", str(certificate), "--keyfile", str(key))
            stack.enter_context(gunicorn("tests.apps.feeding:create_app()", *tls, "--threads", "4", **environment))
            stack.enter_context(working(environment))
        for number in NUMBERS:
            flask(sides["first"], "fire", "ping", json.dumps({"number": number}))

        for side, name in (("first", "ping"), ("second", "pong"), ("first", "pong")):
            wait_until_done(sides[side], name)

    heard = [json.loads(line) for line in (tmp_path / "first" / "heard").read_text().splitlines()]
    assert sorted(heard) == [[number, "http", 1] for number in NUMBERS]


def wait_until_done(environment: dict[str, str], name: str) -> None:
    """Wait until each event *name* of an app was worked on once, without a failure."""
    until = time.monotonic() + 60
    while True:
        told = [json.loads(line) for line in flask(environment, "log", "--event", name, "--json").splitlines()]
        if [one["state"] for one in told] == ["done"] * len(NUMBERS):
            return
        assert time.monotonic() < until, told
        time.sleep(0.1)
