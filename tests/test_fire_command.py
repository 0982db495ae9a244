"""``flask events fire``: what it fires, what it tells of the jobs, and how it refuses what it cannot fire."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor.cli import events as group
from flask_condor.job import Run

from tests.commands import printed
from tests.commands import printed_json
from tests.commands import refusal
from tests.commands import run
from tests.databases import queued


class Jobs:
    def __init__(self) -> None:
        self.seen: list[Any] = []

    def index(self, event: Event[Any], ctx: Context) -> None:
        self.seen.append(event)


def mail(event: Event[Any], ctx: Context) -> None:
    pass


def broken(event: Event[Any], ctx: Context) -> None:
    raise ValueError("no such\naddress \x1b[2J")


@pytest.fixture
def jobs() -> Jobs:
    return Jobs()


@pytest.fixture
def manager(tmp_path: Path, jobs: Jobs) -> EventsManager:
    return manager_with(jobs, f"sqlite:///{tmp_path / 'condor.db'}")


def manager_with(jobs: Jobs, database_url: str, **settings: object) -> EventsManager:
    app = Flask("firing")
    app.testing = True
    app.config |= {"CONDOR_DATABASE_URL": database_url, **settings}
    Condor(app)
    manager: EventsManager = app.extensions["condor"]
    manager.register("user-registered", jobs.index)
    manager.register("user-registered", mail, run="queued")
    manager.register("plain", jobs.index)
    return manager


def test_fire_runs_the_jobs_and_tells_what_ran_and_what_was_queued(manager: EventsManager, jobs: Jobs) -> None:
    said = printed(manager, "fire", "user-registered", '{"user": "ada"}').splitlines()

    (event,) = jobs.seen
    assert (event.name, event.payload, event.source) == ("user-registered", {"user": "ada"}, "cli")
    assert said[0] == f"Fired user-registered, event {event.id}."
    assert said[3].split()[:4] == ["Jobs.index", "now", "done", "-"]
    assert said[4].split()[:3] == ["mail", "queued", "pending"] and said[4].split()[5] == "1"


def test_fire_tells_the_same_as_json(database_url: str, jobs: Jobs) -> None:
    manager = manager_with(jobs, database_url)
    (said,) = printed_json(manager, "fire", "user-registered", "--id", "one")

    index, mail = said.pop("jobs")
    assert said == {"id": "one", "event": "user-registered"}
    assert (index["job"], index["state"], index["due"]) == (f"{__name__}:Jobs.index", "done", None)
    assert (mail["job"], mail["state"], mail["delivery"]) == (f"{__name__}:mail", "pending", 1)
    assert mail["due"].endswith("+00:00")
    manager.log.engine.dispose()


@pytest.mark.parametrize(
    ("typed", "seconds"), [("90", 90), ("24h", 86_400), ("1h30m", 5400), ("1.5m", 90), ("2d1s", 172_801), ("0", 0)]
)
def test_a_delay_queues_all_jobs_and_tells_when_they_are_due(
    manager: EventsManager, jobs: Jobs, typed: str, seconds: float
) -> None:
    before = time.time()
    (said,) = printed_json(manager, "fire", "plain", "--delay", typed)

    (row,) = queued(manager)
    assert jobs.seen == [] and said["jobs"][0]["run"] == "queued"
    assert before + seconds <= row.due_at + 0.01 and row.due_at <= time.time() + seconds + 0.01


@pytest.mark.parametrize("typed", ["2030-01-31T09:00+01:00", "2030-01-31T08:00Z", "2030-01-31 08:00+00:00"])
def test_a_moment_with_a_time_zone_is_when_all_jobs_are_due(manager: EventsManager, typed: str) -> None:
    assert "2030-01-31 08:00:00" in printed(manager, "fire", "plain", "--at", typed)
    assert queued(manager)[0].due_at == 1_896_076_800.0


def test_the_payload_is_read_from_a_file_or_the_standard_input(
    manager: EventsManager, jobs: Jobs, tmp_path: Path
) -> None:
    (tmp_path / "payload.json").write_text('{"user": "ä"}')

    printed(manager, "fire", "plain", f"@{tmp_path / 'payload.json'}")
    run(manager, "fire", "plain", "-", typed='["ada"]\n')
    printed(manager, "fire", "plain")

    assert [event.payload for event in jobs.seen] == [{"user": "ä"}, ["ada"], None]


def test_each_job_that_fails_is_told_in_one_line_with_status_1(manager: EventsManager, jobs: Jobs) -> None:
    words: tuple[Run, ...] = ("now", "after_response", "after_commit")
    for word in words:
        manager.register(word, jobs.index)
        manager.register(word, broken, run=word)
        result = run(manager, "fire", word)

        assert result.exit_code == 1 and "Traceback" not in result.stdout and "\x1b" not in result.stdout
        assert [line.split()[:3] for line in result.stdout.splitlines()[3:]] == [
            ["Jobs.index", "now", "done"],
            ["broken", word, "failed"],
        ]
        assert r"ValueError: no such address \x1b[2J" in result.stdout


def test_a_job_that_fails_is_told_where_errors_are_only_logged_too(tmp_path: Path, jobs: Jobs) -> None:
    manager = manager_with(jobs, f"sqlite:///{tmp_path / 'condor.db'}", CONDOR_JOB_ERRORS="log")
    manager.register("broken", broken)

    (said,) = [json.loads(run(manager, "fire", "broken", "--json").stdout)]

    assert said["jobs"][0]["state"] == "failed" and said["jobs"][0]["error"].startswith("ValueError: no such")


def test_an_id_that_was_fired_before_is_told_and_queues_nothing(manager: EventsManager) -> None:
    printed(manager, "fire", "user-registered", "--id", "one", "--delay", "1h")

    again = run(manager, "fire", "user-registered", "--id", "one", "--delay", "1h")

    assert again.exit_code == 0 and "was fired at" in again.stderr and "already" in again.stderr
    assert len(queued(manager)) == 2


def test_while_events_are_disabled_nothing_runs_and_that_is_told(manager: EventsManager, jobs: Jobs) -> None:
    with manager.disable():
        assert "No job ran" in printed(manager, "fire", "plain")
    assert jobs.seen == []


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["user-registred"], "Did you mean 'user-registered'?"),
        ([""], "event name is empty"),
        ([], "Missing argument 'NAME'"),
        (["plain", "{user: ada}"], "the payload is no JSON"),
        (["plain", ""], "the payload is no JSON"),
        (["plain", "[NaN]"], "the payload is no JSON"),
        (["plain", "[" * 100_000], "the payload is no JSON"),
        (["plain", "@nowhere.json"], "'nowhere.json' cannot be read"),
        (["plain", "@/"], "'/' cannot be read"),
        (["plain", "1", "2"], "unexpected extra argument"),
        (["plain", "--delay", "soon"], "no length of time"),
        (["plain", "--delay", "-1"], "no length of time"),
        (["plain", "--delay", "1w"], "no length of time"),
        (["plain", "--delay", "40000d"], "no length of time"),
        (["plain", "--delay", "9" * 400], "no length of time"),
        (["plain", "--at", "tomorrow"], "'tomorrow' is no time"),
        (["plain", "--at", "2030-01-31T09:00"], "has no time zone"),
        (["plain", "--at", "1h"], "is no time"),
        (["plain", "--at", "9999-12-31T23:59-14:00"], "is no time"),
        (["plain", "--at", "2030-01-31T09:00Z", "--delay", "1"], "--delay and --at were both given"),
        (["plain", "--id", ""], "--id is empty: type an id, or leave --id out."),
        (["plain", "--id"], "requires an argument. See `events fire --help`."),
        (["plain", "--json=1"], "does not take a value. See `events fire --help`."),
        (["plain", "--id", "x" * 300, "--delay", "1"], "at most 255 characters"),
        (["user-registered", str(2**70)], "payload is 1"),
        (["plain", "--loud"], "No such option"),
        (["\udcff"], "is no UTF-8 text"),
        (["plain\0"], "is no UTF-8 text"),
    ],
)
def test_what_cannot_be_fired_is_refused_in_one_line(
    manager: EventsManager, jobs: Jobs, args: list[str], told: str
) -> None:
    error = refusal(manager, "fire", *args)

    assert error.startswith("Error: ") and told in error and error.count("\n") == 1
    assert jobs.seen == []


def test_a_standard_input_that_is_no_utf_8_is_refused(manager: EventsManager) -> None:
    result = manager.app.test_cli_runner().invoke(group, ["fire", "plain", "-"], input=b'"\xff"')

    assert result.exit_code == 2 and "the payload is no JSON" in result.stderr
