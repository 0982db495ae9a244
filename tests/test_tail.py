"""``flask events tail``: the last lines, then each as it happens, once, until Ctrl-C or a closed pipe."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import current_thread
from threading import main_thread
from typing import Any

import pytest
from flask import Flask
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor.commands.following import Watched
from flask_condor.errors import LogUnavailable
from flask_condor.models import deliveries
from flask_condor.models import events
from sqlalchemy import update

from tests.commands import printed
from tests.commands import printed_json
from tests.commands import run
from tests.servers import ROOT


def mail(event: Event[Any], ctx: Context) -> None:
    pass


@pytest.fixture
def manager(durable_manager: EventsManager) -> EventsManager:
    durable_manager.register("user-registered", mail, run="queued")
    return durable_manager


@pytest.fixture
def file_manager(tmp_path: Path) -> EventsManager:
    app = Flask("one file")
    app.config["CONDOR_DATABASE_URL"] = f"sqlite:///{tmp_path / 'condor.db'}"
    Condor(app)
    manager: EventsManager = app.extensions["condor"]
    manager.register("user-registered", mail, run="queued")
    return manager


def end(manager: EventsManager, id: int, state: str, at: float) -> None:
    with manager.log.begin() as connection:
        ended = update(deliveries).where(deliveries.c.id == id)
        connection.execute(ended.values(state=state, started_at=at - 0.5, finished_at=at))


def told(happenings: list[Any]) -> list[tuple[str, int | None]]:
    return [(what, line.delivery) for _, what, line in happenings]


def test_tail_shows_the_last_fires_and_ends_the_newest_last(manager: EventsManager) -> None:
    ids = [manager.fire(Event("user-registered")).id for _ in range(12)]
    manager.emit("nobody\x1b")
    assert manager.queueing.recorder.flush(60)
    end(manager, 3, "dead", time.time() + 1)

    said = [line.split()[2:] for line in printed(manager, "tail").splitlines()]

    assert said[:-2] == [["fired", "user-registered", id] for id in ids[-8:]]
    assert said[-2][:2] == ["orphan", r"nobody\x1b"]
    assert said[-1] == ["dead", "user-registered", "mail", "3", "0.5", "s"]


def test_tail_as_json_has_an_object_a_line(file_manager: EventsManager) -> None:
    event = file_manager.fire(Event("user-registered"))
    end(file_manager, 1, "done", time.time() + 1)

    fired, ended = printed_json(file_manager, "tail")

    assert (fired["what"], fired["event"], fired["id"], fired["job"]) == ("fired", "user-registered", event.id, None)
    assert (ended["what"], ended["job"], ended["delivery"], ended["id"]) == ("done", f"{__name__}:mail", 1, event.id)


def test_an_empty_log_has_no_last_lines(file_manager: EventsManager) -> None:
    assert printed(file_manager, "tail") == ""


def test_each_look_gives_what_is_new_once_also_what_is_written_late(manager: EventsManager) -> None:
    log, watched = manager.log, Watched()
    for _ in range(12):
        manager.fire(Event("user-registered"))
    assert len(watched.last(log)) == 10 and watched.next(log) == []

    late = manager.fire(Event("user-registered"))
    with log.begin() as connection:
        connection.execute(update(events).where(events.c.id == late.id).values(fired_at=time.time() - 3))
    end(manager, 1, "dead", time.time())
    assert sorted(told(watched.next(log)), key=str) == [("dead", 1), ("fired", None)]
    assert watched.next(log) == []

    end(manager, 1, "done", time.time())
    assert told(watched.next(log)) == [("done", 1)] and watched.next(log) == []


def test_an_event_from_a_clock_that_is_ahead_hides_none_of_the_others(file_manager: EventsManager) -> None:
    log, watched = file_manager.log, Watched()
    watched.last(log)
    ahead = file_manager.fire(Event("user-registered"))
    with log.begin() as connection:
        connection.execute(update(events).where(events.c.id == ahead.id).values(fired_at=time.time() + 3600))
    assert told(watched.next(log)) == [("fired", None)]

    file_manager.fire(Event("user-registered"))

    assert told(watched.next(log)) == [("fired", None)] and watched.next(log) == []


def test_a_database_that_is_away_for_a_moment_is_waited_for(
    file_manager: EventsManager, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    watched = Watched()
    watched.last(file_manager.log)

    def unavailable() -> Any:
        raise LogUnavailable("the event log was not read: it is away.")

    with monkeypatch.context() as away:
        away.setattr(file_manager.log, "read", unavailable)
        assert watched.next(file_manager.log) == watched.next(file_manager.log) == []
    file_manager.fire(Event("user-registered"))

    assert told(watched.next(file_manager.log)) == [("fired", None)]
    assert capsys.readouterr().err.splitlines() == [
        "the event log was not read: it is away. Waiting for it; Ctrl-C ends.",
        "The event log is back.",
    ]


def test_a_database_that_is_away_from_the_start_is_an_error(
    file_manager: EventsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable() -> Any:
        raise LogUnavailable("the event log was not read: it is away.")

    monkeypatch.setattr(file_manager.log, "read", unavailable)

    result = run(file_manager, "tail", "-f")

    assert (result.exit_code, result.stderr) == (1, "Error: the event log was not read: it is away.\n")


def test_ctrl_c_ends_it_with_status_0(file_manager: EventsManager, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: float) -> None:
        if current_thread() is main_thread():
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupt)

    result = run(file_manager, "tail", "-f")

    assert (result.exit_code, result.output) == (0, "")


@contextmanager
def following_in_a_process(manager: EventsManager, *options: str) -> Iterator[subprocess.Popen[str]]:
    url = manager.app.config["CONDOR_DATABASE_URL"]
    command = [sys.executable, "-m", "flask", "--app", "tests.apps.queued", "events", "tail", "-f", *options]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | {"CONDOR_DATABASE_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_pipe_gets_each_line_at_once_and_ctrl_c_ends_without_a_traceback(file_manager: EventsManager) -> None:
    file_manager.fire(Event("user-registered", id="first"))

    with following_in_a_process(file_manager, "--json") as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["id"] == "first"
        file_manager.fire(Event("user-registered", id="second"))
        assert json.loads(process.stdout.readline())["id"] == "second"
        process.send_signal(signal.SIGINT)

        rest, errors = process.communicate(timeout=60)
        assert (process.returncode, rest, errors) == (0, "", "")


def test_a_pipe_that_is_closed_ends_it_quietly(file_manager: EventsManager) -> None:
    file_manager.fire(Event("user-registered"))

    with following_in_a_process(file_manager) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        file_manager.fire(Event("user-registered"))

        assert process.wait(60) == 0 and process.stderr.read() == ""
