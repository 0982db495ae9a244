"""T4 (G9, G10, G15): killed at its N-th write, for every N, whatever the process; nothing is lost nor finished twice.

`strace` kills each thread at its N-th call of a kind; N grows until the process comes to its end unharmed. After every
kill the next process starts with what was left. At the end all that is left is run by workers that nobody kills.
"""

from __future__ import annotations

import http.client
import shutil

import pytest

from tests.ports import kept_port
from tests.reliability.processes import events_command
from tests.reliability.processes import gunicorn_command
from tests.reliability.processes import listens
from tests.reliability.processes import running
from tests.reliability.processes import wait_for
from tests.reliability.stand import Stand

CALLS = {"sqlite": ("pwrite64", "fdatasync"), "postgresql": ("sendto",)}
MOST = 200
"""Crash points of a kind after which something is wrong with the test."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
]


def under_strace(call: str, number: int, command: list[str]) -> list[str]:
    inject = f"inject={call}:signal=KILL:when={number}"
    return ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", inject, *command]


@pytest.mark.parametrize("job", ["ok", "tx", "nest"])
def test_a_worker_killed_at_any_write_loses_nothing_and_finishes_nothing_twice(stand: Stand, job: str) -> None:
    stand.hurry()
    points: list[str] = []
    status = -1
    for call in CALLS[stand.kind]:
        for number in range(1, MOST):
            stand.add_order(id := f"{call}-{number}")
            stand.fire(job, id)
            command = under_strace(call, number, events_command("worker", "--once", "--threads=1"))
            with running(command, stand.environment, stand.folder / f"{call}-{number}.log") as worker:
                status = worker.process.wait(60)
            if status == 0:
                break
            points.append(f"{call} {number}")
        assert status == 0, f"no worker lived through its {MOST} calls of {call}"

    settle(stand, points)


def test_a_web_worker_killed_at_any_write_loses_nothing_that_it_accepted(stand: Stand) -> None:
    points = []
    for call in CALLS[stand.kind]:
        for number in range(1, MOST):
            if post_under_strace(stand, call, number) == 201:
                break
            points.append(f"{call} {number}")

    settle(stand, points)
    assert set(stand.witness.runs) == stand.tables.orders()


def post_under_strace(stand: Stand, call: str, number: int) -> int:
    """Post an order to a web worker that is killed at a write of its own; return the status, 0 for no answer."""
    id = f"web-{call}-{number}"
    stand.attempted(id)
    with (
        kept_port() as port,
        running(
            under_strace(call, number, gunicorn_command(port, "--workers=1")),
            stand.environment,
            stand.folder / f"{id}.log",
        ),
    ):
        wait_for(lambda: listens(port), "gunicorn did not listen")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request("POST", f"/orders/tx/{id}")
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()
    if status == 201:
        stand.accepted(id)
    return status


def settle(stand: Stand, points: list[str]) -> None:
    """Run what is left, and judge."""
    with stand.workers():
        stand.drain()
    verdict = stand.judge()
    stand.tell(verdict, f"{len(points)} crash points: {', '.join(points)}")
    verdict.refuse_faults()
    assert len(points) >= 3
