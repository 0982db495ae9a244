"""The Prometheus collector: the same true numbers in every process, and a scrape that an outage does not break."""

from __future__ import annotations

import http.client
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask_condor import Condor
from flask_condor import EventsManager
from flask_condor.errors import CondorError
from flask_condor.instrumentation.prometheus import CondorCollector
from flask_condor.plan import Plan
from flask_condor.presence import Presence
from flask_condor.presence import sign_in
from flask_condor.prune import DAY
from flask_condor.rates import Finished
from flask_condor.rates import add_runs
from flask_condor.rates import ever
from flask_condor.rates import prune_rates
from flask_condor.rates import rebuild
from flask_condor.worker import Worker
from prometheus_client import CollectorRegistry
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from tests.apps import observed
from tests.servers import Server
from tests.servers import gunicorn

JOB = "tests.apps.observed:work"
HOUR_OF_TEST = 1_800_000_000 // 3600 * 3600


@pytest.fixture
def manager(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[EventsManager]:
    monkeypatch.setenv("CONDOR_DATABASE_URL", database_url)
    manager: EventsManager = observed.create_app().extensions["condor"]
    manager.app.testing = True
    yield manager
    manager.log.engine.dispose()


def run_worker(manager: EventsManager) -> None:
    worker = Worker(manager, Plan(once=True, replaceable=False))
    worker.open()
    worker.run()


def scraped(app: Flask) -> str:
    registry = CollectorRegistry()
    registry.register(CondorCollector(app))
    return generate_latest(registry).decode()


def numbers(page: str) -> dict[str, float]:
    families = text_string_to_metric_families(page)
    return {
        "/".join([sample.name, *(sample.labels[name] for name in sorted(sample.labels))]): sample.value
        for family in families
        for sample in family.samples
    }


def get_metrics(server: Server) -> tuple[str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("GET", "/metrics")
    response = connection.getresponse()
    page = response.read().decode()
    connection.close()
    assert response.status == 200
    return response.headers["X-Pid"], page


def test_two_gunicorn_workers_give_the_same_numbers(manager: EventsManager) -> None:
    for payload in ("ok", "ok", "fail"):
        manager.emit("order.paid", payload)
    run_worker(manager)
    run_worker(manager)
    manager.emit("order.paid", delay=3600)

    pages: dict[str, str] = {}
    with gunicorn("tests.apps.observed:create_app()", "--workers", "2") as server:
        server.get_all(["/seen"] * 6)
        for _ in range(200):
            pid, page = get_metrics(server)
            if f'condor_runs_total{{event="seen",job="{JOB}",outcome="done"}} 6.0' in page:
                pages[pid] = page
            if len(pages) == 2:
                break
            time.sleep(0.05)

    one, other = map(numbers, pages.values())
    assert one == other
    assert one["condor_up"] == 1
    assert one[f"condor_runs_total/order.paid/{JOB}/done"] == 2
    assert one[f"condor_runs_total/order.paid/{JOB}/failed"] == 1
    assert one[f"condor_runs_total/order.paid/{JOB}/dead"] == 1
    assert one[f"condor_runs_total/seen/{JOB}/done"] == 6
    assert one[f"condor_run_duration_seconds_count/order.paid/{JOB}"] == 4
    assert (one["condor_pending_deliveries"], one["condor_due_deliveries"]) == (1, 0)
    assert (one["condor_dead_deliveries"], one["condor_oldest_due_seconds"], one["condor_workers"]) == (1, 0, 0)


def test_what_is_due_and_who_works_is_told(manager: EventsManager) -> None:
    manager.emit("order.paid", "ok")
    manager.emit("order.paid", "ok", delay=3600)
    with manager.log.begin() as connection:
        connection.execute(text("UPDATE condor_deliveries SET due_at = due_at - 100 WHERE id = 1"))
        sign_in(connection, Presence.here(4, ("default",)))

    told = numbers(scraped(manager.app))
    assert told["condor_oldest_due_seconds"] >= 100
    assert (told["condor_pending_deliveries"], told["condor_due_deliveries"], told["condor_workers"]) == (2, 1, 1)


def test_durations_fall_into_the_buckets_that_hold_them(manager: EventsManager) -> None:
    seconds = [0.0005, 0.01, 0.5, 0.5, 30, 90_000]
    with manager.log.begin() as connection:
        add_runs(connection, [Finished("e", "m:j", "done", HOUR_OF_TEST, one) for one in seconds])
        add_runs(connection, [Finished("e", "m:j", "lost", HOUR_OF_TEST, 5.0)])

    told = numbers(scraped(manager.app))
    prefix = "condor_run_duration_seconds"
    bounds = {name.split("/")[-1]: value for name, value in told.items() if name.startswith(f"{prefix}_bucket")}
    assert {bound: count for bound, count in bounds.items() if bound != "+Inf"} == {
        bound: sum(one <= float(bound) for one in seconds) for bound in bounds if bound != "+Inf"
    }
    assert len(bounds) == 16 and bounds["+Inf"] == told[f"{prefix}_count/e/m:j"] == 6
    assert told[f"{prefix}_sum/e/m:j"] == pytest.approx(sum(seconds))
    assert told["condor_runs_total/e/m:j/lost"] == 1


def test_the_counters_do_not_fall_when_old_hours_are_pruned(manager: EventsManager) -> None:
    old = [Finished("e", "m:j", "done", HOUR_OF_TEST + hour * 3600, 0.5) for hour in range(5)]
    with manager.log.begin() as connection:
        add_runs(connection, [*old, Finished("e", "m:j", "done", HOUR_OF_TEST + 400 * DAY, 0.5)])
    before = numbers(scraped(manager.app))

    for days in (400, 401, 402):
        with manager.log.begin() as connection:
            prune_rates(connection, HOUR_OF_TEST + days * DAY + 3 * 3600, 400 * DAY)
        assert numbers(scraped(manager.app)) == before
    with manager.log.read() as connection:
        assert connection.scalar(text("SELECT count(*) FROM condor_rates WHERE width = 3600")) == 1


def test_what_was_pruned_is_not_counted_twice_by_a_rebuild(manager: EventsManager) -> None:
    manager.emit("order.paid", "ok")
    run_worker(manager)
    with manager.log.begin() as connection:
        connection.execute(text("UPDATE condor_deliveries SET finished_at = finished_at + 1"))
        later = time.time() + 401 * DAY
        prune_rates(connection, later, 400 * DAY)
        rebuild(connection, later)

        assert [one.runs for one in ever(connection)] == [1]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_while_the_database_is_away_a_scrape_says_so(manager: EventsManager, tmp_path: Path) -> None:
    manager.emit("order.paid", "ok")
    manager.log.engine.dispose()
    (tmp_path / "condor.db").write_bytes(b"no database" * 100)

    assert numbers(scraped(manager.app)) == {"condor_up": 0}


def test_a_server_that_is_down_is_told_likewise() -> None:
    app = Flask("away")
    app.config["CONDOR_DATABASE_URL"] = "postgresql+psycopg://postgres@127.0.0.1:1/none"
    Condor(app)

    assert numbers(scraped(app)) == {"condor_up": 0}


def test_registering_asks_no_database_and_a_second_one_is_refused_by_its_names(tmp_path: Path) -> None:
    app = Flask("idle", instance_path=str(tmp_path))
    Condor(app)
    registry = CollectorRegistry()
    registry.register(CondorCollector(app))

    with pytest.raises(ValueError, match="condor_runs_total"):
        registry.register(CondorCollector(app))
    assert list(tmp_path.iterdir()) == []


def test_an_app_without_condor_is_refused() -> None:
    with pytest.raises(CondorError, match="app 'bare' has no Condor"):
        CondorCollector(Flask("bare"))


@pytest.mark.parametrize(
    ("module", "package", "extra"),
    [("prometheus", "prometheus_client", "prometheus"), ("otel", "opentelemetry", "otel")],
)
def test_without_its_package_the_import_error_names_the_extra(module: str, package: str, extra: str) -> None:
    code = f"""
import sys
sys.modules["{package}"] = None
try:
    import flask_condor.instrumentation.{module}
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert f"run pip install 'flask-condor[{extra}]'" in done.stdout
