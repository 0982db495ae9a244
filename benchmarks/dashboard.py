"""What each page of the dashboard costs beside 10^4 and 10^6 events, and what polling it costs those who fire.

    python benchmarks/dashboard.py [--events 1000000] [--rounds 20] [--seconds 10] [--kinds sqlite postgresql]
        [--json FILE]

A page's time is that of the whole request in this process, through the app's WSGI callable, without a network; the
small log and the large one are asked in turn. Events come at the same rate in both, a week long in the large one: so a
page shows as much of either, and what is compared is the age of a log, not what a period holds. Then a process fires
queued events on the large log, alone and while the overview is polled from a gunicorn of two workers, ten times a
second, in turn.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import Popen
from typing import Any
from urllib.request import urlopen

from dashboard_app import create_app
from dashboard_rows import WEEK
from dashboard_rows import filled
from databases import new_database
from flask.testing import FlaskClient
from frame import keep
from frame import parser_of
from sqlalchemy import text
from throughput import running

FEW = 10_000
ADDRESS = "127.0.0.1:8479"
POLLER = f"""
import time, urllib.request
poll = urllib.request.Request("http://{ADDRESS}/condor/?period=1h", headers={{"HX-Source": "main#main"}})
while True:
    urllib.request.urlopen(poll).read()
    time.sleep(0.2)
"""
"""As an open page does it for itself, save that it has not the page already."""
STARTING = 1.0
"""Seconds in which the pollers start, which takes more of the processor than a second of polling."""
PAGES = (
    *("/", "/?period=24h", "/?period=7d"),
    *("/events", "/events?period=7d", "/events?name=thing.happened7", "/events?status=failed", "/events?status=orphan"),
    *("/events?status=ok", "/events?job=job3", "/events?error=ValueError", "/events?payload=user.id:7"),
    *(
        "/runs",
        "/runs?state=dead",
        "/runs?state=waiting",
        "/runs?state=retrying",
        "/runs?job=job3",
        "/runs?duration=100",
    ),
    *("/failures", "/failures?order=runs", "/failures/7", "/queue", "/queue?tab=scheduled"),
    *("/catalogue", "/catalogue/thing.happened3", "/ingress", "/system", "/system/doctor", "/system/audit"),
    *("/operations", "/operations/new", "/operations/new?kind=retry&count=1", "/operations/new?kind=purge&count=1"),
    "/operations/new?kind=replay&count=1&event=thing.happened3",
)
"""Those of a list; of one event, one with a payload of 1 MiB, and one run come more."""


def pages_of(client: FlaskClient, rows: int) -> list[str]:
    """Return what is asked for, without what is not there."""
    one = f"/events/e{rows // 2}"
    tabs = [f"{one}?tab={tab}" for tab in ("jobs", "chain", "audit", "replay")]
    wanted = [*PAGES, one, *tabs, f"/events/e{rows}", f"/chains/e{rows // 2}", "/runs/100"]
    return [page for page in wanted if client.get(f"/condor{page}").status_code != 404]


def seconds_of(client: FlaskClient, page: str) -> float:
    start = time.perf_counter()
    response = client.get(f"/condor{page}")
    took = time.perf_counter() - start
    assert response.status_code == 200, (page, response.status_code, response.text[-500:])
    return took


def p95(taken: list[float]) -> float:
    return statistics.quantiles(taken, n=20)[-1]


def compare(small: FlaskClient, large: FlaskClient, rows: int, rounds: int) -> dict[str, dict[str, float]]:
    """Ask both for each page in turn; the time that each takes on the large one, and times the small one."""
    result = {}
    for few, many in zip(pages_of(small, FEW), pages_of(large, rows), strict=True):
        taken = [(seconds_of(small, few), seconds_of(large, many)) for _ in range(rounds + 1)][1:]
        before, here = (p95(list(times)) for times in zip(*taken, strict=True))
        result[many] = {"p95 ms": round(here * 1000, 1), "times that at 10^4": round(here / before, 2)}
        print(many, result[many], flush=True)
    return result


def fire_for(seconds: float, manager: Any) -> list[float]:
    taken, end = [], time.monotonic() + seconds
    with manager.app.app_context():
        while time.monotonic() < end:
            start = time.perf_counter()
            manager.emit("thing.happened1", {"user": {"id": 1}})
            taken.append(time.perf_counter() - start)
            time.sleep(0.005)
    return taken


@contextmanager
def polled() -> Iterator[None]:
    """Poll the overview ten times a second meanwhile, from two processes of their own."""
    pollers = [Popen([sys.executable, "-c", POLLER]) for _ in range(2)]
    time.sleep(STARTING)
    try:
        yield
    finally:
        for poller in pollers:
            poller.kill()
            poller.wait()


def firing(url: str, seconds: float) -> dict[str, float]:
    """Return the p99 of fires while the dashboard is polled, times that while it is not."""
    manager = create_app(url).extensions["condor"]
    command = ["gunicorn", "-w", "2", "-b", ADDRESS, "--log-level", "warning", "dashboard_app:create_app()"]
    with running(command, url):
        wait_for(f"http://{ADDRESS}/condor/")
        alone, beside = [], []
        for _ in range(3):
            alone += fire_for(seconds / 3, manager)
            with polled():
                beside += fire_for(seconds / 3, manager)
    first, second = (statistics.quantiles(taken, n=100)[-1] for taken in (alone, beside))
    return {
        "fires": len(alone),
        "p99 ms alone": round(first * 1000, 2),
        "p99 ms while polled": round(second * 1000, 2),
        "ratio": round(second / first, 2),
    }


def wait_for(url: str) -> None:
    for _ in range(100):
        try:
            urlopen(url).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("gunicorn did not start: see its output above")


def measure(kind: str, rows: int, rounds: int, seconds: float) -> dict[str, Any]:
    with new_database(kind) as few, new_database(kind) as many:
        engines = filled(few, FEW, WEEK * FEW / rows), filled(many, rows)
        os.sync()  # else the disk is still busy with what was just written
        small, large = create_app(few).test_client(), create_app(many).test_client()
        pages = compare(small, large, rows, rounds)
        result = {"pages": pages, "fires": firing(many, seconds)}
        print(result["fires"], flush=True)
        with engines[1].connect() as connection:
            assert connection.scalar(text("SELECT count(*) FROM condor_events")) >= rows
        for client in (small, large):
            client.application.extensions["condor"].log.engine.dispose()
        for engine in engines:
            engine.dispose()
    return result


def main() -> None:
    parser = parser_of(__doc__, events=10**6, rounds=20, seconds=10)
    parser.add_argument("--kinds", nargs="+", default=["sqlite", "postgresql"])
    options = parser.parse_args()
    figures = {kind: measure(kind, options.events, options.rounds, options.seconds) for kind in options.kinds}
    keep(figures, options, ("flask", "sqlalchemy", "psycopg"), shown=False)


if __name__ == "__main__":
    main()
