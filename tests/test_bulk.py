"""Bulk retry, replay and prune: asked before, in batches that others can write between, and ended by Ctrl-C whole."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor import bulk
from flask_condor.bulk import ReplayFired
from flask_condor.bulk import RetryDead
from flask_condor.errors import LogUnavailable
from flask_condor.models import audit
from flask_condor.models import deliveries
from flask_condor.models import events
from sqlalchemy import insert
from sqlalchemy import select
from sqlalchemy import update

from tests.commands import printed
from tests.commands import printed_json
from tests.commands import refusal
from tests.commands import run
from tests.databases import queued


def mail(event: Event[Any], ctx: Context) -> None:
    pass


def index(event: Event[Any], ctx: Context) -> None:
    pass


@pytest.fixture
def manager(durable_manager: EventsManager) -> EventsManager:
    return with_jobs(durable_manager)


@pytest.fixture
def file_manager(tmp_path: Path) -> EventsManager:
    app = Flask("one file")
    app.config["CONDOR_DATABASE_URL"] = f"sqlite:///{tmp_path / 'condor.db'}"
    Condor(app)
    return with_jobs(app.extensions["condor"])


def with_jobs(manager: EventsManager) -> EventsManager:
    manager.register("user-registered", mail, run="queued")
    manager.register("password-changed", mail, run="queued")
    manager.register("password-changed", index, run="queued")
    return manager


def fire(manager: EventsManager, name: str = "user-registered", count: int = 1) -> list[str]:
    return [manager.fire(Event(name, {"to": "Ada"})).id for _ in range(count)]


def end(manager: EventsManager, state: str = "dead", **values: Any) -> None:
    values = {"finished_at": 1.0, "attempt": 5, "error": "it broke"} | values
    with manager.log.begin() as connection:
        ended = update(deliveries).where(deliveries.c.state == "pending")
        connection.execute(ended.values(state=state, **values))


def states(manager: EventsManager) -> list[str]:
    return [row.state for row in queued(manager)]


def one_is_pending(manager: EventsManager) -> bool:
    with manager.log.read() as connection:
        return connection.scalar(select(deliveries.c.id).where(deliveries.c.state == "pending").limit(1)) is not None


def replays(manager: EventsManager) -> list[str]:
    """The ids of the events that were replayed, in the order of their replays."""
    with manager.log.read() as connection:
        found = select(events.c.replay_of).where(events.c.replay_of.is_not(None))
        return list(connection.scalars(found.order_by(events.c.fired_at)))


def test_all_that_is_dead_is_retried_once_and_audited(manager: EventsManager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "RETRIES", 2)
    ids = fire(manager, count=5)
    end(manager)
    fire(manager)
    end(manager, "done")

    assert printed(manager, "retry", "--all-dead", "--yes") == "Retried 5 deliveries.\n"

    assert states(manager) == ["pending"] * 5 + ["done"] and queued(manager)[0].attempt == 0
    with manager.log.read() as connection:
        noted = connection.execute(select(audit).order_by(audit.c.id)).all()
    assert [(one.actor, one.action, one.event_id, one.delivery_id) for one in noted] == [
        ("cli", "retry", id, number) for number, id in enumerate(ids, start=1)
    ]
    assert json.loads(noted[0].detail) == {"was": {"state": "dead", "attempt": 5, "error": "it broke"}}


def test_a_retry_of_all_can_be_of_one_event_or_job_only(manager: EventsManager) -> None:
    fire(manager)
    fire(manager, "password-changed")
    end(manager)

    dead = ["retry", "--all-dead", "--yes"]
    assert printed_json(manager, *dead, "--event", "none") == [{"count": 0}]
    assert printed_json(manager, *dead, "--job", "index") == [{"count": 1}]
    assert states(manager) == ["dead", "dead", "pending"]
    assert printed_json(manager, *dead, "--event", "password-changed", "--job", f"{__name__}:mail") == [{"count": 1}]
    assert states(manager) == ["dead", "pending", "pending"]
    assert printed(manager, *dead) == "Retried 1 delivery.\n"
    assert printed(manager, *dead) == "Retried nothing: there is none.\n"


def test_a_dead_run_that_was_never_queued_is_not_retried(file_manager: EventsManager) -> None:
    fire(file_manager)
    end(file_manager, run="now")

    assert printed_json(file_manager, "retry", "--all-dead", "--yes") == [{"count": 0}] and states(file_manager) == [
        "dead"
    ]


def test_a_delivery_that_dies_again_meanwhile_is_not_retried_twice(manager: EventsManager) -> None:
    fire(manager, count=2)
    end(manager)
    work = RetryDead(None, None, "test")
    moved: list[int] = []
    with manager.log.read() as connection:
        assert work.count(connection) == 2
    while not work.is_over and len(moved) < 5:
        with manager.log.begin() as connection:
            moved.append(work.batch(connection))
        end(manager)
        fire(manager)
        end(manager)

    assert moved == [2, 0]


def test_a_bulk_asks_before_it_does_anything(file_manager: EventsManager) -> None:
    fire(file_manager, count=2)
    end(file_manager)

    for args, asked in (
        (["retry", "--all-dead"], "Retry 2 dead deliveries?"),
        (["replay", "--event", "user-registered", "--since", "1h"], "Replay 2 events, each as a new one?"),
    ):
        refused = run(file_manager, *args, typed="n\n")
        assert refused.exit_code == 1 and asked in refused.stderr
        assert run(file_manager, *args).exit_code == 1
    assert states(file_manager) == ["dead", "dead"]

    assert run(file_manager, "retry", "--all-dead", typed="y\n").exit_code == 0
    assert states(file_manager) == ["pending", "pending"]


def test_the_events_of_a_time_are_replayed_in_order_without_replays(
    manager: EventsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "REPLAYS", 2)
    ids = fire(manager, count=5)
    fire(manager, "password-changed")
    manager.replay(ids[0])
    since = ["replay", "--event", "user-registered", "--since", "1h", "--yes"]

    assert printed_json(manager, *since) == [{"count": 5}]
    assert replays(manager) == [ids[0], *ids]
    assert printed(manager, *since, "--until", "30m") == "Replayed nothing: there is none.\n"
    with manager.log.read() as connection:
        assert connection.scalars(select(audit.c.action)).all() == ["replay"] * 6


def test_a_replay_of_a_time_can_run_one_job_only(file_manager: EventsManager) -> None:
    fire(file_manager, "password-changed")

    args = ["replay", "--event", "password-changed", "--since", "1h", "--job", "index", "--yes"]
    assert printed(file_manager, *args) == "Replayed 1 event.\n"
    assert [row.job.partition(":")[2] for row in queued(file_manager)] == ["mail", "index", "index"]


def test_events_whose_payload_was_no_json_are_left_out_and_told(file_manager: EventsManager) -> None:
    file_manager.register("plain", mail)
    file_manager.fire(Event("plain", object()))
    assert file_manager.queueing.recorder.flush(60)

    result = run(file_manager, "replay", "--event", "plain", "--since", "1h", "--yes")

    assert result.exit_code == 0 and "1 are left out: their payload was no JSON, or was redacted" in result.stderr
    assert result.stdout == "Replayed nothing: there is none.\n"


def test_an_interrupted_replay_goes_on_where_it_ended(manager: EventsManager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "REPLAYS", 4)
    at = time.time() - 60
    with manager.log.begin() as connection:
        rows = [{"id": f"e{n}", "fired_at": at + n // 3 * 2e-6, **PLAIN, "root_id": f"e{n}"} for n in range(12)]
        connection.execute(insert(events), rows)
    interrupt_after(monkeypatch, ReplayFired, batches=2)

    result = run(manager, "replay", "--event", "user-registered", "--since", "1h", "--yes")
    monkeypatch.undo()

    done = len(replays(manager))
    assert result.exit_code == 1 and f"interrupted. {done} of 12 are done" in result.stderr and 0 < done < 12
    command = result.stderr.partition("To go on: flask events ")[2]
    assert run(manager, *shlex.split(command)).exit_code == 0
    assert sorted(replays(manager)) == sorted(f"e{n}" for n in range(12))


def test_a_microsecond_is_told_by_the_very_floats_that_are_compared() -> None:
    for n in range(2000):
        at = 1_790_000_000.5 + n * 2.4e-7
        assert bulk.microsecond(at) / 1e6 <= at < (bulk.microsecond(at) + 1) / 1e6


PLAIN = {"name": "user-registered", "payload": "null", "is_replayable": True, "is_orphan": False, "source": "app"}
PLAIN |= {"path": "[]", "bus": "default"}


def interrupt_after(monkeypatch: pytest.MonkeyPatch, work: Any, batches: int) -> None:
    """Press Ctrl-C amid that batch."""
    whole: Callable[..., int] = work.batch
    calls = []

    def batch(*args: Any) -> int:
        calls.append(1)
        if len(calls) == batches:
            os.kill(os.getpid(), signal.SIGINT)
        return whole(*args)

    monkeypatch.setattr(work, "batch", batch)


def test_an_interrupted_retry_says_how_many_were_done_and_how_to_go_on(
    file_manager: EventsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "RETRIES", 2)
    fire(file_manager, count=5)
    end(file_manager)
    interrupt_after(monkeypatch, RetryDead, batches=2)

    result = run(file_manager, "retry", "--all-dead", "--job", "mail", "--yes")

    assert (result.exit_code, result.stdout) == (1, "")
    told = "interrupted. 4 of 5 are done, and stay so. To go on: flask events retry --all-dead --job mail --yes"
    assert result.stderr == f"Error: {told}\n"
    assert states(file_manager) == ["pending"] * 4 + ["dead"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupted_prune_says_the_same(file_manager: EventsManager, monkeypatch: pytest.MonkeyPatch) -> None:
    from flask_condor import prune

    monkeypatch.setattr(prune, "BATCH", 2)
    fire(file_manager, count=5)
    end(file_manager, "done")
    interrupt_after(monkeypatch, prune.Prune, batches=1)

    result = run(file_manager, "prune", "--older-than", "1.5", "--yes")

    assert result.exit_code == 1 and "interrupted. 2 of 5 are done" in result.stderr
    assert "To go on: flask events prune --older-than 1.5 --yes" in result.stderr and len(states(file_manager)) == 3


def test_a_database_that_fails_amid_a_bulk_is_told_with_what_was_done(
    file_manager: EventsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "RETRIES", 2)
    fire(file_manager, count=5)
    end(file_manager)
    whole, calls = RetryDead.batch, []

    def batch(*args: Any) -> int:
        calls.append(1)
        moved = whole(*args)
        if len(calls) == 2:
            raise LogUnavailable("the rest was not done: the disk is full.")
        return moved

    monkeypatch.setattr(RetryDead, "batch", batch)

    result = run(file_manager, "retry", "--all-dead", "--yes")

    assert result.exit_code == 1 and "the disk is full. 2 of 5 are done, and stay so." in result.stderr
    assert states(file_manager) == ["pending"] * 2 + ["dead"] * 3


def test_firing_goes_on_between_the_batches(file_manager: EventsManager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "RETRIES", 1)
    fire(file_manager, count=3)
    end(file_manager)
    begin = file_manager.log.begin
    seen: list[int] = []

    def fire_before(*args: Any) -> Any:
        if len(seen) < 3:
            seen.append(1)
            fire(file_manager)
        return begin(*args)

    monkeypatch.setattr(file_manager.log, "begin", fire_before)

    assert printed_json(file_manager, "retry", "--all-dead", "--yes") == [{"count": 3}]


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["retry"], "Type the numbers of deliveries or the ids of events, or --all-dead"),
        (["retry", "1", "--all-dead"], "--all-dead and IDs were both given"),
        (["retry", "1", "--event", "a"], "--event goes with --all-dead"),
        (["retry", "--job", "a"], "--job goes with --all-dead"),
        (["retry", "1", "--yes"], "--yes goes with --all-dead"),
        (["retry", "--all-dead=yes"], "does not take a value"),
        (["retry", "99"], "delivery 99 is not in the event log"),
        (["retry", "none\x1b"], r"event 'none\x1b' is not in the event log"),
        (["cancel"], "Missing argument 'ID...'"),
        (["cancel", "0"], "0 is no number of a delivery"),
        (["replay"], "Type the ids of events, or --event NAME with --since or --until"),
        (["replay", "--since", "1h"], "--since goes with --event"),
        (["replay", "a", "--until", "1h"], "--until goes with --event"),
        (["replay", "a", "--yes"], "--yes goes with --event"),
        (["replay", "a", "--event", "a"], "--event and EVENT_IDs were both given"),
        (["replay", "--event", "user-registered"], "--event needs --since or --until"),
        (["replay", "--event", "user-registered", "--since", "noon"], "'noon' is no time"),
        (["replay", "--event", "user-registred", "--since", "1h"], "event 'user-registred' has no job to replay"),
        (["replay", "--event", "user-registered", "--since", "1h", "--job", "none"], "'none' is not one job of event"),
        (["replay", "--event", "a", "--since", "1h", "--until", "2h"], "--since is not before --until"),
        (["replay", "none"], "event 'none' is not in the event log"),
        (["prune", "--older-than", "soon"], "'soon' is not a valid float range"),
        (["prune", "--older-than", "nan"], "--older-than takes a number of days"),
        (["stats", "--last", "week"], "'week' is not one of 'hour', 'day'"),
        (["log", "--state", "failed"], "'cancelled'. Did you mean pending or dead? See `events log --help`."),
        (["log", "--state", "retrying"], "Did you mean pending?"),
        (["purge", "--before", "1d", "--state", "ok"], "Did you mean done?"),
        (["db", "downgrade"], "No such command 'downgrade'"),
        (["worker", "--processes", "0"], "0 is not in the range"),
        (["worker", "--once", "--processes", "2"], "--once runs in this process"),
        (["tail", "--lines", "1"], "No such option"),
        (["tail", "user-registered"], "unexpected extra argument (user-registered). See"),
    ],
)
def test_wrong_arguments_are_told_in_one_line_with_status_2(
    file_manager: EventsManager, args: list[str], told: str
) -> None:
    error = refusal(file_manager, *args)

    assert error.startswith("Error: ") and told in error and error.count("\n") == 1
    assert all(one.isprintable() or one == "\n" for one in error)


PROGRAM = """
from flask import Flask
from flask_condor import Condor
from flask_condor import bulk
from tests.test_bulk import with_jobs
bulk.RETRIES = {batch}
app = Flask("app")
app.config["CONDOR_DATABASE_URL"] = {url!r}
Condor(app)
with_jobs(app.extensions["condor"])
"""


def test_ctrl_c_ends_a_real_process_between_two_batches(
    file_manager: EventsManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with file_manager.log.begin() as connection:
        connection.execute(insert(events), [{"id": "e", "fired_at": 1.0, **PLAIN, "root_id": "e"}])
        dead = {"event_id": "e", "job": "m:mail", "run": "queued", "queue": "default", "priority": 0, "state": "dead"}
        dead |= {"due_at": 1.0, "attempt": 5, "losses": 0, "finished_at": 2.0, "bus": "default"}
        connection.execute(insert(deliveries), [dead] * 8_000)
    url, batch = file_manager.app.config["CONDOR_DATABASE_URL"], 10
    (tmp_path / "app.py").write_text(PROGRAM.format(url=url, batch=batch))
    command = [sys.executable, "-m", "flask", "--app", str(tmp_path / "app.py"), "events", "retry", "--all-dead"]

    process = subprocess.Popen([*command, "--yes"], stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while not one_is_pending(file_manager) and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)

    moved = states(file_manager).count("pending")
    assert process.returncode == 1 and 0 < moved < 8_000 and moved % batch == 0
    assert f"interrupted. {moved:,} of 8,000 are done" in told and "Traceback" not in told
