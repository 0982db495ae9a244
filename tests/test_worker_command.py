"""``flask events worker``, as real processes: what it runs, what it tells, and that no job can stop it."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask_condor.claims import LEASE
from flask_condor.models import deliveries
from flask_condor.models import workers
from flask_condor.plan import Plan
from flask_condor.worker import SWEEP
from flask_condor.worker import Worker
from sqlalchemy import select
from sqlalchemy import update

from tests.apps import queued
from tests.databases import run_on_server
from tests.servers import ROOT
from tests.workers import Bench
from tests.workers import bench as bench

pytestmark = pytest.mark.reliability

only_on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def test_once_runs_what_is_due_tells_each_run_and_exits(bench: Bench) -> None:
    bench.fire("ok", times=3)
    bench.fire("answer")
    bench.fire("ok", delay=3600)

    ended = bench.run_once()

    assert ended.returncode == 0, ended.stderr
    assert bench.states() == ["done"] * 4 + ["pending"]
    assert Counter(name for name, _, _ in bench.runs()) == {"ok": 3, "answer": 1}
    assert json.loads(bench.rows()[3].result) == {"success": True}
    assert ended.stderr.count("job tests.apps.queued:ok of event ok done in") == 3
    assert "4 runs: 4 done, 0 to be tried again, 0 dead" in ended.stderr


@only_on_sqlite
def test_a_failed_job_is_tried_again_and_then_dead_with_its_error(bench: Bench) -> None:
    bench.fire(queued.named(queued.raise_exception))

    ended = bench.run_once()

    (row,) = bench.rows()
    assert (row.state, row.attempt) == ("dead", 3)
    assert row.error.startswith("ValueError: no such address \\0 \\ud800\nTraceback")
    assert "tried again in 0 s (delivery 1, attempt 2)" in ended.stderr
    assert "dead now (delivery 1, attempt 3). Once that is mended: flask events retry 1\n  Traceback" in ended.stderr
    assert ended.stderr.count("Traceback") == 1 and "in raise_exception\n      raise ValueError(" in ended.stderr


@only_on_sqlite
def test_once_shows_a_progress_bar_on_a_terminal_and_then_the_totals(bench: Bench) -> None:
    bench.fire("ok", times=3)
    terminal, end = pty.openpty()

    with subprocess.Popen(bench.command("--once"), cwd=ROOT, stderr=end, stdout=subprocess.DEVNULL) as process:
        os.close(end)
        shown = read_all(terminal)
        os.close(terminal)

    assert process.returncode == 0
    assert "Running jobs" in shown and "100%" in shown
    assert shown.endswith("3 runs: 3 done, 0 to be tried again, 0 dead\r\n")
    assert "done in" not in shown


def read_all(terminal: int) -> str:
    """Read what a process writes to a terminal until it ends; the kernel then tells of an I/O error."""
    shown = b""
    with contextlib.suppress(OSError):
        while part := os.read(terminal, 4096):
            shown += part
    return shown.decode()


def test_once_leaves_what_the_app_does_not_know_and_tells_of_it(bench: Bench) -> None:
    bench.manager.register("stranger", queued.ok, run="queued")
    bench.fire("stranger", times=2)
    bench.fire("ok")

    ended = bench.run_once()

    assert ended.returncode == 0
    assert [(row.state, row.attempt) for row in bench.rows()] == [("pending", 0)] * 2 + [("done", 1)]
    assert ended.stderr.count("job tests.apps.queued:ok is not registered for event stranger here") == 1
    assert "1 run: 1 done" in ended.stderr


@only_on_sqlite
@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--threads", "0"), "Invalid value for '--threads'"),
        (("--processes", "x"), "Invalid value for '--processes'"),
        (("--once", "--processes", "2"), "--once runs in this process"),
        (("--no-such",), "No such option"),
    ],
)
def test_bad_arguments_are_refused_in_a_line(bench: Bench, options: tuple[str, ...], told: str) -> None:
    ended = subprocess.run(bench.command(*options), cwd=ROOT, capture_output=True, text=True, timeout=60)

    assert ended.returncode == 2
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr


@only_on_sqlite
@pytest.mark.parametrize("options", [("--once",), ("--processes", "2")], ids=["once", "supervised"])
@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("mysql://nowhere/condor", "the event log cannot be kept in mysql"),
        ("postgresql+pg8000://nowhere/condor", "the driver pg8000"),
        (f"sqlite:///{__file__}/condor.db", f"the folder {__file__} cannot be made: File exists. Give this user"),
    ],
)
def test_what_can_never_work_ends_in_one_telling_line(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], url: str, told: str
) -> None:
    monkeypatch.setenv("CONDOR_DATABASE_URL", url)

    ended = subprocess.run(bench.command(*options), cwd=ROOT, capture_output=True, text=True, timeout=60)

    assert ended.returncode == 1
    assert ended.stderr.count("Error: ") == 1
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr


@only_on_sqlite
def test_tables_of_a_newer_version_end_the_worker_in_one_telling_line(bench: Bench) -> None:
    bench.fire("ok")
    with bench.manager.log.begin() as connection:
        connection.exec_driver_sql("UPDATE condor_schema SET version = 99")

    ended = subprocess.run(bench.command(), cwd=ROOT, capture_output=True, text=True, timeout=60)

    assert ended.returncode == 1
    assert ended.stderr.count("Error: ") == 1
    assert "version 99" in ended.stderr
    assert bench.runs() == []


@only_on_sqlite
def test_an_app_that_cannot_be_imported_ends_the_worker(bench: Bench) -> None:
    command = bench.command("--processes", "2", app="tests.apps.nowhere")

    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)

    assert ended.returncode == 1
    assert "Could not import 'tests.apps.nowhere'" in ended.stderr


def test_a_worker_signs_in_runs_what_comes_and_signs_out(bench: Bench) -> None:
    process = bench.start("--processes", "2", "--threads", "3")
    bench.wait_for(lambda: len(signed_in(bench)) == 2)

    bench.fire("ok", times=5)
    bench.fire("ok", delay=1)
    bench.wait_for(lambda: bench.states() == ["done"] * 6)

    assert {worker.threads for worker in signed_in(bench)} == {3}
    assert json.loads(signed_in(bench)[0].queues) == ["default"]
    assert bench.stop(process) == 0
    assert signed_in(bench) == []
    assert bench.log().count("the worker ends after") == 2


def signed_in(bench: Bench) -> list[Any]:
    with bench.manager.log.read() as connection:
        return list(connection.execute(select(workers)))


def test_a_delayed_job_does_not_run_early_by_the_clock_of_the_database(bench: Bench) -> None:
    bench.start()
    bench.fire("ok", delay=2)
    due_at = bench.rows()[0].due_at

    bench.wait_for(lambda: bench.states() == ["done"])

    assert bench.rows()[0].started_at >= due_at


@only_on_sqlite
def test_urgent_jobs_go_before_those_that_waited_longer(bench: Bench) -> None:
    bench.fire("ok", times=5)
    bench.fire("urgent", times=2)

    bench.run_once("--threads", "1")

    assert [name for name, _, _ in bench.runs()][:2] == ["urgent", "urgent"]


def test_when_terminated_running_jobs_finish_and_the_rest_goes_back(bench: Bench) -> None:
    process = bench.start("--threads", "2")
    bench.fire("sleep", 6, times=5)
    bench.wait_for(lambda: len(bench.runs()) == 2)

    assert bench.stop(process) == 0

    assert sorted(bench.states()) == ["done"] * 2 + ["pending"] * 3
    assert [row.attempt for row in bench.rows() if row.state == "pending"] == [0] * 3
    assert len(bench.runs()) == 2


def test_what_outlives_the_grace_goes_back_at_once_and_runs_elsewhere(bench: Bench) -> None:
    first = bench.start("--graceful-timeout", "1")
    bench.fire("sleep.once", 300)
    bench.fire("sleep.never.again", 300)
    bench.wait_for(lambda: len(bench.runs()) == 2)
    second = bench.start()
    bench.wait_for(lambda: len(signed_in(bench)) == 2)

    assert bench.stop(first) == 0
    bench.wait_for(lambda: sorted(bench.states()) == ["dead", "done"])

    assert "its worker was lost" not in bench.log(), "it was given back, and not found when its lease had run out"
    assert [attempt for name, attempt, _ in bench.runs() if name == "sleep.once"] == [1, 2]
    assert "to run at most once" in bench.rows()[1].error
    assert bench.stop(second) == 0


@only_on_sqlite
def test_interrupting_lets_running_jobs_finish_too(bench: Bench) -> None:
    process = bench.start()
    bench.fire("sleep", 1)
    bench.wait_for(lambda: len(bench.runs()) == 1)

    process.send_signal(signal.SIGINT)

    assert process.wait(60) == 0
    assert bench.states() == ["done"]


@only_on_sqlite
def test_hup_replaces_the_processes_and_usr2_is_refused(bench: Bench) -> None:
    process = bench.start()
    bench.fire("ok")
    bench.wait_for(lambda: bench.states() == ["done"])

    process.send_signal(signal.SIGUSR2)
    process.send_signal(signal.SIGHUP)
    bench.wait_for(lambda: "the worker ends after" in bench.log())
    bench.fire("ok")
    bench.wait_for(lambda: bench.states() == ["done"] * 2)

    assert len({pid for _, _, pid in bench.runs()}) == 2
    bench.wait_for(lambda: "USR2 is refused" in bench.log())
    assert bench.stop(process) == 0


@only_on_sqlite
def test_workers_end_by_themselves_when_their_supervisor_was_killed(bench: Bench) -> None:
    process = bench.start()
    bench.wait_for(lambda: signed_in(bench))

    process.kill()

    bench.wait_for(lambda: signed_in(bench) == [])


@pytest.mark.slow
def test_a_killed_workers_job_runs_again_once_its_lease_is_over_and_looked_at(bench: Bench) -> None:
    supervisor = bench.start("--processes", "1")
    bench.fire("sleep.once", 300)
    bench.wait_for(lambda: len(bench.runs()) == 1)
    (_, _, pid) = bench.runs()[0]

    supervisor.kill()
    os.kill(pid, signal.SIGKILL)
    bench.start("--processes", "1")
    bench.wait_for(lambda: bench.states() == ["done"])

    assert LEASE + SWEEP <= 20, "with 5 s to begin it runs again within 25 s; T8 measures it"
    assert [attempt for _, attempt, _ in bench.runs()] == [1, 2]


def test_what_a_killed_process_had_not_begun_is_given_back_uncounted_by_the_next_and_the_rest_runs_again(
    bench: Bench,
) -> None:
    bench.fire("ok", times=30)
    bench.fire("sleep.once", 300)
    bench.fire("ok", times=20)
    bench.start("--processes", "1", "--threads", "1")
    bench.wait_for(lambda: len(bench.runs()) == 31)
    (_, _, pid) = bench.runs()[-1]
    bench.wait_for(lambda: bench.states() == ["done"] * 30 + ["running"] * 21)

    os.kill(pid, signal.SIGKILL)
    bench.wait_for(lambda: bench.states() == ["done"] * 51)

    assert [row.attempt for row in bench.rows()] == [1] * 30 + [2] + [1] * 20
    assert Counter(name for name, _, _ in bench.runs()) == {"ok": 50, "sleep.once": 2}
    assert bench.log().count("its worker was lost") == 1


@only_on_sqlite
def test_a_worker_that_was_held_up_takes_nothing_back_until_others_could_renew_their_leases(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.fire("ok")
    with bench.manager.log.begin() as connection:
        connection.execute(
            update(deliveries).values(state="running", worker="a", attempt=1, lease_until=1.0, started_at=1.0)
        )

    with monkeypatch.context() as patch:
        patch.setattr("flask_condor.worker.HELD_UP", 0.0)
        run_here(bench)
    held_up = bench.states()
    run_here(bench)

    assert (held_up, bench.states()) == (["running"], ["done"])


def run_here(bench: Bench) -> None:
    worker = Worker(bench.manager, Plan(once=True, replaceable=False))
    worker.open()
    worker.run()


@pytest.mark.slow
def test_a_worker_stopped_past_its_lease_cannot_overwrite_what_another_did(bench: Bench) -> None:
    bench.start("--processes", "2", "--timeout", "120")
    bench.fire("sleep.once", 3)
    bench.wait_for(lambda: len(bench.runs()) == 1)
    (_, _, stopped) = bench.runs()[0]

    os.kill(stopped, signal.SIGSTOP)
    bench.wait_for(lambda: bench.states() == ["done"])
    before = bench.rows()[0]
    os.kill(stopped, signal.SIGCONT)
    bench.wait_for(lambda: "its lease was lost while it ran" in bench.log())

    assert [attempt for _, attempt, _ in bench.runs()] == [1, 2]
    assert bench.rows()[0] == before


@only_on_sqlite
def test_kinds_of_jobs_that_fail_or_misbehave_leave_the_worker_as_it_was(bench: Bench) -> None:
    for kind in queued.FAIL + queued.RETURN:
        bench.fire(queued.named(kind))
    bench.fire("ok", times=20)

    process = bench.start()
    bench.wait_for(lambda: {"pending", "running"}.isdisjoint(bench.states()))

    runs = Counter(name for name, _, _ in bench.runs())
    states = {row.job.partition("job_of_")[2]: row for row in bench.rows()}
    for kind in queued.FAIL:
        assert (states[kind.__name__].state, runs[queued.named(kind)]) == ("dead", 3), kind
        assert len(states[kind.__name__].error) <= 10_000
    for kind in queued.RETURN:
        assert (states[kind.__name__].state, runs[queued.named(kind)]) == ("done", 1), kind
    assert runs["ok"] == 20
    assert len({pid for _, _, pid in bench.runs()}) == 1, "one process ran them all"
    assert bench.stop(process) == 0


def test_a_hung_jobs_process_is_replaced_and_its_siblings_are_unharmed(bench: Bench) -> None:
    process = bench.start()
    bench.fire("hang")
    bench.fire("sleep", 4, times=2)
    bench.wait_for(lambda: bench.states() == ["dead", "done", "done"], 120)

    hung = bench.rows()[0]
    assert hung.attempt == 3
    assert [attempt for name, attempt, _ in bench.runs() if name == "hang"] == [1, 2, 3]
    assert [attempt for name, attempt, _ in bench.runs() if name == "sleep"] == [1, 1]
    assert len({pid for name, _, pid in bench.runs() if name == "hang"}) == 3
    assert "longer than its timeout of 2 s" in hung.error
    assert bench.stop(process) == 0


@only_on_sqlite
def test_a_worker_whose_log_is_on_a_full_disk_starts_goes_on_and_replaces_a_hung_process(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", "")  # a buffer keeps what could not be written, and each flush fails anew
    process = bench.start(log=Path("/dev/full"))
    bench.fire("hang")
    bench.wait_for(bench.runs)

    process.send_signal(signal.SIGUSR2)
    bench.wait_for(lambda: bench.states() == ["dead"], 45)

    assert len({pid for _, _, pid in bench.runs()}) == 3
    assert process.poll() is None
    bench.stop(process)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*queued.KILL, queued.hang_in_c], ids=lambda kind: kind.__name__)
def test_a_job_that_ends_its_process_is_dead_in_the_end_and_takes_no_other_with_it(
    bench: Bench, kind: Callable[[], object]
) -> None:
    name = "hang.in.c" if kind is queued.hang_in_c else queued.named(kind)
    bench.fire("ok", times=10)
    bench.fire(name)
    bench.fire("ok", times=10)

    process = bench.start("--processes", "2", "--timeout", "5")
    bench.wait_for(lambda: {"pending", "running"}.isdisjoint(bench.states()), 150)

    assert Counter(bench.states()) == {"done": 20, "dead": 1}
    assert [attempt for run, attempt, _ in bench.runs() if run == name][-1] <= 3
    assert process.poll() is None
    assert bench.stop(process) == 0


@only_on_sqlite
def test_a_lock_on_the_database_stops_no_worker(bench: Bench, tmp_path: Path) -> None:
    process = bench.start()
    bench.wait_for(lambda: signed_in(bench))
    locker = "import sqlite3, sys, time; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
    locker += "c.execute('BEGIN EXCLUSIVE'); time.sleep(7); c.execute('COMMIT')"
    subprocess.run([sys.executable, "-c", locker, str(tmp_path / "condor.db")], check=True, timeout=60)

    bench.fire("ok")
    bench.wait_for(lambda: bench.states() == ["done"])

    assert "Traceback" not in bench.log()
    assert bench.log().count("keeps trying") <= 1
    assert bench.stop(process) == 0


@only_on_sqlite
def test_a_worker_whose_file_was_deleted_says_so_makes_none_and_goes_on_when_it_is_back(
    bench: Bench, database_url: str, tmp_path: Path
) -> None:
    process = bench.start()
    bench.fire("ok")
    bench.wait_for(lambda: bench.states() == ["done"])
    bench.manager.log.engine.dispose()

    log = Path(database_url.removeprefix("sqlite:///"))
    kept = shutil.copytree(log.parent, tmp_path / "kept", ignore=shutil.ignore_patterns("worker.log", "kept"))
    for file in log.parent.glob(f"{log.name}*"):
        file.unlink()
    bench.wait_for(lambda: f"{log} was deleted or moved while in use" in bench.log())
    time.sleep(1)
    assert not log.exists()
    shutil.copytree(kept, log.parent, dirs_exist_ok=True)
    bench.wait_for(lambda: "the event log is back after" in bench.log())
    bench.fire("ok")
    bench.wait_for(lambda: bench.states() == ["done"] * 2)

    assert bench.log().count("keeps trying") == 1
    assert bench.stop(process) == 0


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_workers_survive_an_outage_of_the_server_and_go_on_by_themselves(bench: Bench, database_url: str) -> None:
    name = database_url.rpartition("/")[2]
    process = bench.start()
    bench.fire("ok")
    bench.wait_for(lambda: bench.states() == ["done"])

    run_on_server(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    run_on_server(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    bench.wait_for(lambda: "keeps trying" in bench.log())
    time.sleep(3)
    run_on_server(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    bench.fire("ok")
    bench.wait_for(lambda: bench.states() == ["done"] * 2)

    assert bench.log().count("keeps trying") == 1
    assert "the event log is back after" in bench.log()
    assert "Traceback" not in bench.log()
    assert bench.stop(process) == 0


def test_what_the_app_does_not_register_is_parked_and_told_once(bench: Bench) -> None:
    bench.manager.register("stranger", queued.ok, run="queued")
    bench.fire("stranger", times=3)

    process = bench.start()
    bench.wait_for(lambda: "is not registered for event stranger here" in bench.log())
    bench.fire("ok")
    bench.wait_for(lambda: bench.states() == ["pending"] * 3 + ["done"])

    assert [row.attempt for row in bench.rows()] == [0] * 3 + [1]
    assert bench.log().count("job tests.apps.queued:ok is not registered") == 1
    assert bench.stop(process) == 0


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_once_takes_back_what_a_killed_worker_had(bench: Bench) -> None:
    bench.fire("ok")
    with bench.manager.log.begin() as connection:
        connection.execute(
            update(deliveries).values(state="running", worker="gone", attempt=1, lease_until=1.0, started_at=1.0)
        )

    assert bench.start("--once").wait(60) == 0

    assert bench.states() == ["done"]
