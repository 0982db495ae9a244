"""The commands that look after the log: what they print, as columns and as JSON, and how they refuse bad input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor import schema
from flask_condor.cli import COMMANDS
from flask_condor.cli import events as group
from flask_condor.commands.shown import cell_of
from flask_condor.errors import LogUnavailable
from flask_condor.log_state import peek
from flask_condor.models import VERSION
from flask_condor.models import audit
from flask_condor.models import deliveries
from flask_condor.models import events
from flask_condor.models import versions
from flask_condor.rates import Finished
from flask_condor.rates import add_runs
from sqlalchemy import select
from sqlalchemy import update

from tests.commands import printed
from tests.commands import printed_json
from tests.commands import refusal
from tests.commands import run


def mail(event: Event[Any], ctx: Context) -> None:
    pass


@pytest.fixture
def manager(durable_manager: EventsManager) -> EventsManager:
    durable_manager.register("user-registered", mail, run="queued")
    return durable_manager


def fire(manager: EventsManager, count: int = 1) -> list[str]:
    return [manager.fire(Event("user-registered", {"to": "Ada"})).id for _ in range(count)]


def end(manager: EventsManager, state: str, days: float = 0.0) -> None:
    with manager.log.begin() as connection:
        ended = update(deliveries).where(deliveries.c.state == "pending")
        connection.execute(ended.values(state=state, finished_at=time.time() - days * 86_400, attempt=5))


def states(manager: EventsManager) -> list[str]:
    with manager.log.read() as connection:
        return list(connection.scalars(select(deliveries.c.state).order_by(deliveries.c.id)))


def test_retry_tells_which_deliveries_are_pending_again(manager: EventsManager) -> None:
    ids = fire(manager, 3)
    end(manager, "dead")

    assert printed(manager, "retry", "1", ids[2]) == "Retried\n-------\n1\n3\n"
    assert printed(manager, "retry", "1", ids[2]) == "Nothing to retry: none of them is dead.\n"
    assert printed_json(manager, "retry", "2") == [{"retried": 2}]
    assert states(manager) == ["pending"] * 3


def test_cancel_tells_which_deliveries_it_cancelled(manager: EventsManager) -> None:
    ids = fire(manager, 3)

    assert printed(manager, "cancel", ids[0], "3") == "Cancelled\n---------\n1\n3\n"
    assert printed(manager, "cancel", ids[0]) == "Nothing to cancel: none of them is pending.\n"
    assert printed_json(manager, "cancel", "2") == [{"cancelled": 2}]
    assert states(manager) == ["cancelled"] * 3


def test_replay_tells_the_ids_of_the_new_events(manager: EventsManager) -> None:
    (id,) = fire(manager)

    (made,) = printed_json(manager, "replay", id, "--job", "mail")
    table = printed(manager, "replay", id).splitlines()

    assert {key: made[key] for key in ("event", "name")} == {"event": id, "name": "user-registered"}
    assert table[0].split() == ["Event", "Name", "Replay"] and table[2].split()[:2] == [id, "user-registered"]
    with manager.log.read() as connection:
        assert set(connection.scalars(select(events.c.replay_of))) == {None, id}
        assert set(connection.scalars(select(audit.c.actor))) == {"cli"}
    assert len(states(manager)) == 3


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["retry", "99"], "delivery 99 is not in the event log"),
        (["retry", "none"], "event 'none' is not in the event log"),
        (["retry", "0"], "0 is no number of a delivery"),
        (["retry", "9" * 30], f"event '{'9' * 30}' is not in the event log"),
        (["retry", "²"], "event '²' is not in the event log"),
        (["cancel", "none"], "event 'none' is not in the event log"),
        (["replay", "none"], "event 'none' is not in the event log"),
    ],
)
def test_bad_input_is_told_in_one_line_with_status_2(manager: EventsManager, args: list[str], told: str) -> None:
    error = refusal(manager, *args)

    assert error.startswith("Error: ") and told in error and error.count("\n") == 1


@pytest.mark.parametrize(
    "args",
    [["retry"], ["prune", "--older-than", "soon"], ["prune", "--older-than", "-1"], ["prune", "--older-than", "nan"]],
)
def test_what_click_refuses_has_status_2_too(manager: EventsManager, args: list[str]) -> None:
    assert "Error: " in refusal(manager, *args)


def test_a_replay_of_several_events_makes_those_it_can_and_names_the_others(manager: EventsManager) -> None:
    (id,) = fire(manager)

    result = run(manager, "replay", "none", id, "nothing")

    assert result.exit_code == 2 and id in result.stdout
    assert "'none'" in result.stderr and "'nothing'" in result.stderr and len(states(manager)) == 2


def test_an_app_without_condor_is_told_so() -> None:
    result = Flask("bare").test_cli_runner().invoke(group, ["stats"])

    assert result.exit_code == 2 and "app 'bare' has no Condor" in result.stderr


def test_long_runs_are_told_in_whole_seconds() -> None:
    assert [cell_of(took) for took in (0.25, 999.4, 999.9, 4321.0)] == ["0.25 s", "999 s", "1000 s", "4321 s"]


LOOKING = [
    "log",
    "tail",
    "stats",
    "stats --rebuild",
    "retry --all-dead",
    "prune",
    "replay --event user-registered --since 1h",
]


@pytest.mark.parametrize("line", LOOKING)
def test_a_command_that_fires_nothing_makes_no_database(manager: EventsManager, line: str) -> None:
    printed(manager, *line.split())

    with peek(manager.log) as connection:
        assert connection is None


@pytest.mark.parametrize("name", ["show", "retry", "cancel", "replay"])
def test_an_id_is_in_no_log_that_was_never_made(manager: EventsManager, name: str) -> None:
    assert "in the event log" in refusal(manager, name, "7")

    with peek(manager.log) as connection:
        assert connection is None


def test_what_is_accepted_after_a_look_at_no_log_is_seen_by_the_next(manager: EventsManager) -> None:
    assert printed(manager, "log") == "The event log is empty.\n"

    (id,) = fire(manager)

    assert [line["id"] for line in printed_json(manager, "log")] == [id]


def test_a_log_that_cannot_be_reached_is_told_in_one_line_with_status_1(
    manager: EventsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(*_: object) -> Any:
        raise LogUnavailable("nothing was retried: the disk is full.")

    monkeypatch.setattr(manager.log, "change", unavailable)

    result = run(manager, "retry", "1")

    assert (result.exit_code, result.stderr) == (1, "Error: nothing was retried: the disk is full.\n")


def test_prune_asks_before_it_deletes(manager: EventsManager) -> None:
    fire(manager, 2)
    end(manager, "done", days=31)

    asked = run(manager, "prune", typed="n\n")
    assert asked.exit_code == 1 and "Delete 2 rows for good?" in asked.stderr and len(states(manager)) == 2
    assert run(manager, "prune").exit_code == 1 and len(states(manager)) == 2

    assert run(manager, "prune", typed="y\n").exit_code == 0
    assert states(manager) == []


def test_prune_deletes_what_the_settings_say_or_what_is_older_than_asked_for(manager: EventsManager) -> None:
    fire(manager)
    end(manager, "dead", days=89)
    fire(manager)
    end(manager, "done", days=31)
    fire(manager)

    assert printed(manager, "prune", "--yes") == "Pruned\n------\n1\n"
    assert printed(manager, "prune", "--yes") == "Nothing to prune.\n"
    assert printed_json(manager, "prune", "--older-than", "0.5", "--yes") == [{"pruned": 1}]
    assert printed_json(manager, "prune", "--older-than", "0", "--yes") == [{"pruned": 0}]
    assert states(manager) == ["pending"]


def count(manager: EventsManager, *runs: tuple[str, Any, float, float]) -> None:
    with manager.log.begin() as connection:
        now = time.time()
        add_runs(connection, [Finished(name, "jobs:mail", how, now - ago, took) for name, how, ago, took in runs])


def test_stats_show_the_runs_of_each_job_by_outcome_and_their_percentiles(manager: EventsManager) -> None:
    assert printed(manager, "stats") == "No job has run in the last day.\n"
    count(manager, *[("a", "done", 60, 0.1)] * 94, *[("a", "failed", 60, 2.0)] * 5, ("a", "dead", 60, 2.0))
    count(manager, ("b", "lost", 60, 15.0), ("old", "done", 30 * 3600, 1.0), ("b", "done", 5 * 3600, 1.0))

    a, b = printed_json(manager, "stats")
    (now, _) = printed_json(manager, "stats", "--last", "hour")
    table = printed(manager, "stats").splitlines()

    assert {key: a[key] for key in ("event", "job", "done", "failed", "dead", "lost")} == {
        **{"event": "a", "job": "jobs:mail"},
        **{"done": 94, "failed": 5, "dead": 1, "lost": 0},
    }
    assert 0.09 < a["p50"] < 0.11 and 1.8 < a["p95"] < 2.2
    assert (b["event"], b["done"], b["lost"]) == ("b", 1, 1)
    assert now == a
    assert table[0].split() == ["Event", "Job", "Done", "Failed", "Dead", "Lost", "p50", "p95"]
    assert table[2].startswith("a      jobs:mail  94") and len(table) == 4


def test_stats_of_lost_runs_alone_have_no_percentiles(manager: EventsManager) -> None:
    count(manager, ("a", "lost", 60, 15.0))

    (row,) = printed_json(manager, "stats")

    assert (row["lost"], row["p50"], row["p95"]) == (1, None, None)


def test_stats_can_be_counted_anew_from_the_deliveries(manager: EventsManager) -> None:
    fire(manager, 3)
    end(manager, "done")

    assert printed_json(manager, "stats") == []
    result = run(manager, "stats", "--rebuild", "--json")

    assert result.stderr == "Counted 3 deliveries anew.\n" and json.loads(result.stdout)["done"] == 3


def test_the_help_of_stats_says_what_a_duration_counted_anew_is(manager: EventsManager) -> None:
    assert "from its claim to its finish" in " ".join(printed(manager, "stats", "--help").split())


def test_a_name_cannot_forge_lines_of_a_table(manager: EventsManager) -> None:
    count(manager, ("a\r\n\x1b[2Jb", "done", 60, 1.0))

    table = printed(manager, "stats")

    assert len(table.splitlines()) == 3 and "\x1b" not in table and r"a\r\n\x1b[2Jb" in table


def test_db_upgrade_makes_the_tables_and_brings_them_up(
    manager: EventsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert printed(manager, "db", "upgrade") == f"The tables of the event log were made, of version {VERSION}.\n"
    assert printed(manager, "db", "upgrade") == f"The tables of the event log are of version {VERSION} already.\n"
    monkeypatch.setattr(schema, "VERSION", VERSION + 1)
    monkeypatch.setitem(schema.MIGRATIONS, VERSION, lambda connection: None)

    assert f"went from version {VERSION} to {VERSION + 1}" in printed(manager, "db", "upgrade")
    assert printed_json(manager, "db", "upgrade") == [{"from": VERSION + 1, "to": VERSION + 1}]


def test_tables_of_another_version_are_told_in_one_line(manager: EventsManager) -> None:
    printed(manager, "db", "upgrade")
    with manager.log.engine.begin() as connection:
        connection.execute(update(versions).values(version=VERSION + 1))

    for args in (["db", "upgrade"], ["stats"], ["prune"], ["retry", "1"]):
        result = run(manager, *args)
        assert result.exit_code == 1 and result.stderr.count("\n") == 1 and "Upgrade Flask-Condor" in result.stderr


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_its_help(manager: EventsManager, name: str) -> None:
    assert "Usage: " in printed(manager, name, "--help")
    assert name in printed(manager, "--help")


def test_flask_knows_the_commands_and_imports_nothing_for_those_of_others(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "from flask import Flask\nfrom flask_condor import Condor\nCondor(app := Flask('app'))\n"
    )
    look = "import sys, flask_condor.cli; print({'sqlalchemy', 'flask_condor.commands.stored'} & set(sys.modules))"
    command = [sys.executable, "-m", "flask", "events", "cancel", "none"]

    flask = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=os.environ | {"FLASK_APP": "app"})
    imported = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)

    assert flask.returncode == 2 and flask.stderr.startswith("Error: event 'none' is not in the event log")
    assert imported.stdout == "set()\n"


def test_a_setting_of_the_retention_changes_what_prune_deletes(database_url: str) -> None:
    app = Flask("other")
    app.config |= {"CONDOR_DATABASE_URL": database_url, "CONDOR_RETENTION_DONE": 1}
    Condor(app)
    manager: EventsManager = app.extensions["condor"]
    manager.register("user-registered", mail, run="queued")
    fire(manager)
    end(manager, "cancelled", days=2)

    assert printed_json(manager, "prune", "--yes") == [{"pruned": 1}]
    manager.log.engine.dispose()
