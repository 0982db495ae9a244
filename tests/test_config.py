"""The settings: what is not one is refused, and a relative database is one of the instance folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventNotRegistered
from flask_condor import resolve_events_manager
from flask_condor.config import Config
from flask_condor.errors import ConfigInvalid
from flask_condor.errors import SettingUnknown

SETTINGS = Path(__file__).parents[1] / "docs" / "reference" / "settings.md"


def job(event: Event[Any], ctx: Context) -> None:
    pass


def test_a_misspelled_setting_is_refused_with_the_nearest_one() -> None:
    app = Flask("test")
    app.config["CONDOR_DATABSE_URL"] = "sqlite:///secret.db"

    with pytest.raises(SettingUnknown, match=r"CONDOR_DATABSE_URL is no setting.*Did you mean CONDOR_DATABASE_URL\?"):
        Condor(app)


def test_a_relative_database_is_one_of_the_instance_folder(tmp_path: Path) -> None:
    app = Flask("test", instance_path=str(tmp_path))
    app.config["CONDOR_DATABASE_URL"] = "sqlite:///events.db"
    Condor(app)
    app.extensions["condor"].register("signed-up", job, run="queued")

    app.extensions["condor"].fire(Event("signed-up"))

    assert (tmp_path / "events.db").exists()
    app.extensions["condor"].log.engine.dispose()


def test_the_commands_are_there_for_flasks_own_test_runner(tmp_path: Path) -> None:
    app = Flask("test", instance_path=str(tmp_path))
    Condor(app)
    app.extensions["condor"].register("signed-up", job, run="queued")

    result = app.test_cli_runner().invoke(args=["events", "worker", "--once"])

    assert result.exit_code == 0, result.output
    app.extensions["condor"].log.engine.dispose()


def test_a_scheduled_event_that_nobody_registered_is_refused_at_the_start(tmp_path: Path) -> None:
    def register_events() -> None:
        resolve_events_manager().register("report-due", job)
        resolve_events_manager().schedule("reprot-due", "0 9 * * *")

    with pytest.raises(EventNotRegistered, match="event reprot-due is not registered. Did you mean 'report-due'"):
        Condor(Flask("test", instance_path=str(tmp_path)), register_events=register_events)


@pytest.mark.parametrize("command", ["stats", "prune"])
def test_an_app_that_cannot_be_made_is_told_of_in_one_line(command: str) -> None:
    from flask.cli import ScriptInfo
    from flask_condor.cli import events

    def create_app() -> Flask:
        app = Flask("test")
        app.config["CONDOR_DATABASE_URL"] = "mysql://localhost/app"
        Condor(app)
        return app

    result = Flask("other").test_cli_runner().invoke(events, [command], obj=ScriptInfo(create_app=create_app))

    assert result.exit_code == 2
    assert "the event log cannot be kept in mysql" in result.stderr


def test_the_settings_page_lists_each_setting_and_no_other() -> None:
    listed = re.findall(r"^\| `(CONDOR_\w+)` \|", SETTINGS.read_text(), re.MULTILINE)

    assert sorted(listed) == sorted(f"CONDOR_{field.upper()}" for field in Config.__struct_fields__)


WRONG: dict[str, list[object]] = {
    "CONDOR_TRIGGER_URL": ["trigger", "/trigger/", "", None, "/<id>"],
    "CONDOR_TRIGGER_SECRETS": ["whsec_abc", [""], [b"x"], 1],
    "CONDOR_TRIGGER_EVENTS": ["order.*", [1]],
    "CONDOR_TRIGGER_STRICT": ["yes", 1],
    "CONDOR_TRIGGER_LIMIT": ["", 100],
    "CONDOR_TRIGGER_BACKLOG": [0, -1, "many", True],
    "CONDOR_DASHBOARD_URL": ["condor", "/"],
    "CONDOR_DASHBOARD_USERS": [["ada"], {"ada": "secret"}, {"a:b": "scrypt:1:1:1$a$ff"}, {"": "scrypt:1:1:1$a$ff"}],
    "CONDOR_REDACT_KEYS": ["password", [""]],
    "CONDOR_REDACT_STORED": ["no"],
    "CONDOR_TRACE_URL": ["", "https://traces.test/", "javascript:{trace_id}", 1],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in WRONG.items() for value in values])
def test_a_setting_of_the_edges_that_means_nothing_is_refused_by_its_key(key: str, value: object) -> None:
    app = Flask("test")
    app.config[key] = value

    with pytest.raises(ConfigInvalid, match=f"{key}.* is .*: expected "):
        Condor(app)


@pytest.mark.parametrize("key", ["CONDOR_TRIGGER_SECRETS", "CONDOR_DASHBOARD_USERS"])
def test_an_error_in_a_secret_setting_does_not_show_it(key: str) -> None:
    app = Flask("test")
    app.config[key] = {"ada": "my-plain-password"}

    with pytest.raises(ConfigInvalid) as caught:
        Condor(app)

    assert "my-plain-password" not in str(caught.value)
