"""`flask events check`: the sample app passes it, and apps that are broken in one way each do not."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from flask import Flask
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor.cli import events
from flask_condor.models import deliveries
from sqlalchemy import update

from app import create_app
from tests.flask_processes import flask
from tests.flask_processes import write_files

APP = """
    from flask import Flask
    from flask_condor import Condor
    from register_events import register_events
    import views

    app = Flask(__name__)
    Condor(app, register_events=register_events)
"""
REGISTERS = """
    from flask_condor import resolve_events_manager
    from names import USER_REGISTERED

    def mail(event, ctx):
        pass

    def register_events():
        manager = resolve_events_manager()
        manager.register(USER_REGISTERED, mail)
"""
VIEWS = """
    from flask_condor import Event, ctx
    from names import USER_REGISTERED

    def sign_up():
        ctx.events.fire(Event(USER_REGISTERED))
"""
SOUND = {
    "app.py": APP,
    "register_events.py": REGISTERS,
    "views.py": VIEWS,
    "names.py": 'USER_REGISTERED = "user.registered"\n',
}


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    app = Flask("empty", root_path=str(tmp_path), instance_path=str(tmp_path))
    Condor(app)
    return app


def test_the_sample_app_passes(tmp_path: Path) -> None:
    service = create_app({"DATABASE_URL": f"sqlite:///{tmp_path / 'app.db'}"})

    result = service.test_cli_runner().invoke(events, ["check"])

    assert (result.exit_code, result.stderr) == (0, "") and result.stdout.endswith(" files read: nothing is wrong.\n")
    assert int(result.stdout.split()[0]) > 15


def found(folder: Path, **files: str) -> tuple[int, list[str]]:
    """Return the exit status of a check of a sound app with other *files*, and what it says without the last line."""
    ended = flask(write_files(folder, SOUND | {f"{name}.py": text for name, text in files.items()}), "events", "check")
    assert ended.stderr == ""
    return ended.returncode, ended.stdout.splitlines()


def test_a_sound_app_passes(tmp_path: Path) -> None:
    assert found(tmp_path) == (0, ["4 files read: nothing is wrong."])


def test_a_name_that_is_fired_but_not_registered_is_an_error(tmp_path: Path) -> None:
    status, (error, warning, summary) = found(tmp_path, views=VIEWS.replace("(USER_REGISTERED)", "('user.registerd')"))

    assert status == 1 and summary == "4 files read: 1 error, 1 warning."
    assert error.startswith(
        "views.py:6: error: event 'user.registerd' is fired, but not registered. Did you mean 'user."
    )
    assert "Else add register('user.registerd', job) to register_events.py, or" in error
    assert warning.startswith("names.py:1: warning: event 'user.registered' is registered, but no code fires it.")
    assert " Fire it or remove it, unless " in warning


def test_what_cannot_be_told_is_said_and_no_error(tmp_path: Path) -> None:
    more = "\n    def other(name):\n        ctx.events.emit(name)\n"

    status, (note, summary) = found(tmp_path, views=VIEWS + more)

    assert (status, summary) == (0, "4 files read: 1 note.")
    assert note.startswith("views.py:9: note: what is fired here is only known when the code runs")


def test_one_name_in_two_constants_and_a_name_off_the_convention_are_warnings(tmp_path: Path) -> None:
    registers = (
        REGISTERS
        + "        manager.register('User.Created!', mail)\n        manager.schedule('User.Created!', '0 9 * * *')\n"
    )
    names = 'USER_REGISTERED = "user.registered"\nSIGNED_UP = "user.registered"\nOTHER = "x"\nANOTHER = "x"\n'

    status, (double, name, summary) = found(tmp_path, names=names, register_events=registers)

    assert (status, summary) == (0, "4 files read: 2 warnings.")
    assert double.startswith("names.py:2: warning: SIGNED_UP is 'user.registered', as USER_REGISTERED at names.py:1.")
    assert name.startswith("register_events.py:11: warning: event name 'User.Created!' is off the convention.")


@pytest.mark.parametrize(
    ("name", "fits"),
    [("user", False), ("User.Created!", False), ("user.", False), ("user..created", False), ("user created", False)]
    + [("password-changed", True), ("user.registered", True), ("file_uploaded", True), ("v2.user.signed-up", True)],
)
def test_the_convention_is_two_words_in_lower_case(
    app: Flask, events_manager: EventsManager, name: str, fits: bool
) -> None:
    events_manager.register(name)

    assert ("off the convention" in app.test_cli_runner().invoke(events, ["check"]).stdout) is not fits


def test_a_file_that_is_not_python_is_a_warning(tmp_path: Path) -> None:
    status, (warning, summary) = found(tmp_path, broken="def x(:\n")

    assert (status, summary) == (0, "4 files read: 1 warning.")
    assert warning.startswith("broken.py:1: warning: this file was not read: invalid syntax.")


def fits(event: Event[Any], ctx: Context) -> None: ...
def fits_bare(event, ctx): ...  # type: ignore[no-untyped-def]  # as many users write it
def fits_loosely(event: Any, ctx: object) -> None: ...
def fits_by_half(event: Event[int] | None, ctx: Context | None) -> None: ...
def fits_unknown(event: NotImported, ctx: Context) -> None: ...  # type: ignore[name-defined]  # noqa: F821  # on purpose
def takes_number(event: int, ctx: Context) -> None: ...
def takes_dict(event: dict[str, Any], ctx: Context) -> None: ...
def takes_app(event: Event[Any], ctx: Flask) -> None: ...
def takes_crossed(event: Context, ctx: Event[Any]) -> None: ...


def test_jobs_whose_annotations_do_not_fit_are_warned_of(app: Flask, events_manager: EventsManager) -> None:
    events_manager.register("a.b", fits, fits_bare, fits_loosely, fits_by_half, fits_unknown)
    good = json_of(app)
    events_manager.register("c.d", takes_number, takes_dict, takes_app, takes_crossed)  # type: ignore[arg-type]  # on purpose
    bad = [one for one in json_of(app) if "takes" in one["what"]]

    assert [one for one in good if "takes" in one["what"]] == []
    assert [one["what"].partition("job takes_")[2] for one in bad] == [
        "app takes ctx: Flask",
        "crossed takes event: Context",
        "crossed takes ctx: flask_condor.event.Event[typing.Any]",
        "dict takes event: dict[str, typing.Any]",
        "number takes event: int",
    ]
    assert {one["level"] for one in bad} == {"warning"} and bad[1]["advice"].startswith("Write event: Event,")
    assert all(one["where"].startswith("tests/test_checking.py:") for one in bad)


def json_of(app: Flask) -> list[dict[str, Any]]:
    result = app.test_cli_runner().invoke(events, ["check", "--json"])
    return [json.loads(line) for line in result.stdout.splitlines()]


def job(event: Event[Any], ctx: Context) -> None:
    pass


def test_stored_deliveries_whose_job_is_gone_are_an_error(durable_manager: EventsManager) -> None:
    durable_manager.register("a.b", job, run="queued")
    durable_manager.fire(Event("a.b"))
    durable_manager.fire(Event("a.b"))
    assert stored_in(durable_manager.app) == []
    durable_manager.unregister("a.b", job)

    (error,) = stored_in(durable_manager.app)

    assert (error["level"], error["what"]) == (
        "error",
        "2 stored deliveries of event 'a.b' wait for job tests.test_checking:job, which is not registered",
    )


def test_what_a_lost_worker_had_in_hand_and_no_job_takes_back_is_an_error(durable_manager: EventsManager) -> None:
    durable_manager.register("a.b", job, run="queued")
    durable_manager.fire(Event("a.b"))
    durable_manager.unregister("a.b", job)
    with durable_manager.log.begin() as connection:
        connection.execute(update(deliveries).values(state="running", worker="gone", lease_until=1.0))

    (error,) = stored_in(durable_manager.app)

    assert error["what"].startswith("1 stored deliveries of event 'a.b' wait for job tests.test_checking:job")


def stored_in(app: Flask) -> list[dict[str, Any]]:
    return [one for one in json_of(app) if one["where"] == "event log"]


def test_a_check_makes_no_database_and_no_tables(tmp_path: Path) -> None:
    app = Flask("new", instance_path=str(tmp_path / "instance"))
    app.config["CONDOR_DATABASE_URL"] = f"sqlite:///{tmp_path / 'condor.db'}"
    Condor(app)

    json_of(app)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "condor.db").touch()
    json_of(app)
    assert b"condor_" not in (tmp_path / "condor.db").read_bytes()


def test_a_log_that_cannot_be_read_is_a_warning(tmp_path: Path) -> None:
    app = Flask("new", instance_path=str(tmp_path / "instance"))
    app.config["CONDOR_DATABASE_URL"] = "postgresql+psycopg://nobody@127.0.0.1:1/nothing"
    Condor(app)

    (warning,) = stored_in(app)

    assert warning["level"] == "warning" and warning["what"].startswith("stored deliveries were not looked at: ")
    assert "right?\n" in app.test_cli_runner().invoke(args=["events", "check"]).stdout


def test_the_page_shows_what_explain_prints_of_the_sample_app(tmp_path: Path) -> None:
    page = (Path(__file__).parents[1] / "docs/how-to/check-an-app.md").read_text()
    shown = page.partition("    $ flask events explain user.registered\n")[2].partition("\nAn unknown name")[0]
    service = create_app({"DATABASE_URL": f"sqlite:///{tmp_path / 'app.db'}"})

    printed = service.test_cli_runner().invoke(events, ["explain", "user.registered"]).stdout

    assert dedent(shown).strip() and printed.startswith(dedent(shown).rstrip())
