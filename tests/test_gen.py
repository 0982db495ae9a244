"""`flask events gen`: what it adds to whose files, what it leaves as it was, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from click.testing import Result
from flask_condor.cli import events
from flask_condor.scaffold import changes
from flask_condor.scaffold.imports import add_import
from flask_condor.scaffold.source import Source

BADGE = ("event", "USER_VERIFIED", "--job", "send_badge")
NAMES = 'USER_REGISTERED = "user.registered"\n'
REGISTER = """\
from flask_condor import resolve_events_manager

from events.event_names import USER_REGISTERED
from events.jobs.send_welcome_email import send_welcome_email


def register_events() -> None:
    events_manager = resolve_events_manager()
    events_manager.register(USER_REGISTERED, send_welcome_email, run="queued")
"""
EMPTY = "def register_events():\n    pass\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one event and one job, and the folder that is current."""
    monkeypatch.chdir(tmp_path)
    for path, text in {
        "events/__init__.py": "",
        "events/event_names.py": NAMES,
        "events/jobs/__init__.py": "",
        "events/jobs/send_welcome_email.py": "def send_welcome_email(event, ctx): ...\n",
        "register_events.py": REGISTER,
    }.items():
        write(tmp_path / path, text)
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())


def run(*args: str) -> Result:
    return CliRunner().invoke(events, ["gen", *args])


def gen(*args: str) -> str:
    result = run(*args)
    assert result.exit_code == 0, result.output
    return result.stdout


def files(folder: Path) -> dict[str, str]:
    paths = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes().decode() for path in paths}


def registering(folder: Path) -> str:
    return files(folder)["register_events.py"]


def pytest_in(folder: Path) -> subprocess.CompletedProcess[str]:
    program = str(Path(sys.executable).with_name("pytest"))
    command = [program, "-q", "-p", "no:randomly", "-p", "no:xdist", "-p", "no:cacheprovider"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def test_an_event_with_a_job_is_a_constant_a_job_a_registration_and_a_test_that_passes(folder: Path) -> None:
    gen(*BADGE, "--run", "queued")

    assert files(folder)["events/event_names.py"] == f'{NAMES}USER_VERIFIED = "user.verified"\n'
    assert "def send_badge(event: Event, ctx: Context) -> None:" in files(folder)["events/jobs/send_badge.py"]
    assert (
        registering(folder)
        == """\
from flask_condor import resolve_events_manager

from events.event_names import USER_REGISTERED
from events.event_names import USER_VERIFIED
from events.jobs.send_badge import send_badge
from events.jobs.send_welcome_email import send_welcome_email


def register_events() -> None:
    events_manager = resolve_events_manager()
    events_manager.register(USER_REGISTERED, send_welcome_email, run="queued")
    events_manager.register(USER_VERIFIED, send_badge, run="queued")
"""
    )
    ended = pytest_in(folder)
    assert "1 passed" in ended.stdout, ended.stdout


def test_what_was_generated_registers_and_runs(folder: Path) -> None:
    gen(*BADGE, "--job", "tell_friends")

    code = """
from flask import Flask
from flask_condor import Condor, Event, ctx
from register_events import register_events
app = Flask("test")
Condor(app, register_events=register_events)
with app.app_context():
    ctx.events.fire(Event("user.verified"))
    print(*[job.path for job in ctx.events.registry.jobs_of("user.verified")])
"""
    ended = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=60)

    assert ended.stdout.split() == ["events.jobs.send_badge:send_badge", "events.jobs.tell_friends:tell_friends"]


def test_the_diff_is_what_git_apply_needs_to_write_the_same(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    before = files(folder)
    diff = gen(*BADGE)
    copy = tmp_path_factory.mktemp("copy")
    for path, text in before.items():
        write(copy / path, text)

    subprocess.run(["git", "apply"], cwd=copy, input=diff, text=True, check=True, timeout=60)

    assert {path: text for path, text in files(copy).items() if text} == {
        path: text for path, text in files(folder).items() if text
    }


def test_the_test_takes_the_app_of_a_fixture_where_there_is_one(folder: Path) -> None:
    fixture = "import flask\nimport flask_condor\nimport pytest\n\n@pytest.fixture\ndef app():\n"
    app = "    app = flask.Flask('ours')\n    flask_condor.Condor(app)\n    return app\n"
    write(folder / "tests/__init__.py", "")
    write(folder / "tests/conftest.py", fixture + app)

    gen(*BADGE)

    assert "def app()" not in files(folder)["tests/test_send_badge.py"]
    assert "1 passed" in pytest_in(folder).stdout


def test_a_dry_run_prints_the_same_diff_and_writes_nothing(folder: Path) -> None:
    before = files(folder)

    shown = run(*BADGE, "--dry-run")

    assert files(folder) == before
    assert shown.stderr == "Nothing was written (--dry-run).\n"
    assert gen(*BADGE) == shown.stdout


def test_an_event_without_a_job_is_declared_so_that_firing_it_is_no_error(folder: Path) -> None:
    gen("event", "USER_VERIFIED", "--name", "verified-user")

    assert 'USER_VERIFIED = "verified-user"\n' in files(folder)["events/event_names.py"]
    assert registering(folder).endswith("    events_manager.register(USER_VERIFIED)\n")
    assert not (folder / "tests").exists()


@pytest.mark.parametrize(
    ("constant", "name"),
    [("USER_VERIFIED", "user.verified"), ("ORDER_ITEM_ADDED", "order-item.added"), ("B2B_ORDER_V2", "b2b-order.v2")],
)
def test_the_name_says_what_it_happened_to_and_what_happened(folder: Path, constant: str, name: str) -> None:
    gen("event", constant)

    assert f'{constant} = "{name}"\n' in files(folder)["events/event_names.py"]


def test_a_name_with_quotes_is_written_as_python_reads_it(folder: Path) -> None:
    gen(*BADGE, "--name", 'a "b" \\ö')

    assert Source(files(folder)["events/event_names.py"], "").constants()["USER_VERIFIED"] == 'a "b" \\ö'
    assert "1 passed" in pytest_in(folder).stdout


def test_a_job_is_added_after_the_others_of_its_event(folder: Path) -> None:
    gen(*BADGE)
    gen("job", "write_audit_entry", "--event", "USER_REGISTERED", "--run", "after_commit")

    assert registering(folder).endswith("""
    events_manager.register(USER_REGISTERED, send_welcome_email, run="queued")
    events_manager.register(USER_REGISTERED, write_audit_entry, run="after_commit")
    events_manager.register(USER_VERIFIED, send_badge)
""")
    assert registering(folder).count("import USER_REGISTERED\n") == 1
    assert "2 passed" in pytest_in(folder).stdout


@pytest.mark.parametrize(
    ("body", "added"),
    [
        ("    em = RESOLVE  # ours\n@    return None", "    em"),
        ("  RESOLVE.register(\n    X,  # one\n    y,\n  )\n@  # end\n", "  RESOLVE"),
        ("\tm: object = RESOLVE\n@\tif True:\n\t\tm.register(X)", "\tm"),
    ],
    ids=["own-name", "chained", "tabs"],
)
def test_the_registration_is_spelled_as_the_function_spells_it(folder: Path, body: str, added: str) -> None:
    register = "from flask_condor import resolve_events_manager\n{}\n\ndef register_events():\n" + body
    register = register.replace("RESOLVE", "resolve_events_manager()")
    write(folder / "register_events.py", register.format("").replace("@", ""))

    gen(*BADGE)

    imports = "\nfrom events.event_names import USER_VERIFIED\nfrom events.jobs.send_badge import send_badge\n"
    added = added.replace("RESOLVE", "resolve_events_manager()")
    grown = register.format(imports).replace("@", f"{added}.register(USER_VERIFIED, send_badge)\n")
    assert registering(folder) == grown


@pytest.mark.parametrize("body", ['    """Ours."""', '    """Ours."""; pass\n', "    pass  # for now\n"])
def test_what_somebody_wrote_into_an_empty_function_stays(folder: Path, body: str) -> None:
    write(folder / "register_events.py", "def register_events():\n" + body)

    gen(*BADGE)

    added = "    events_manager = resolve_events_manager()\n    events_manager.register(USER_VERIFIED, send_badge)\n"
    assert registering(folder).endswith(f"def register_events():\n{body.rstrip()}\n{added}")


def test_a_file_without_any_import_gets_all_it_needs(folder: Path) -> None:
    write(folder / "register_events.py", "# ours\ndef register_events():\n    ...\n")

    gen(*BADGE)

    assert (
        registering(folder)
        == """\
# ours
from flask_condor import resolve_events_manager

from events.event_names import USER_VERIFIED
from events.jobs.send_badge import send_badge


def register_events():
    events_manager = resolve_events_manager()
    events_manager.register(USER_VERIFIED, send_badge)
"""
    )


def test_imports_that_are_grouped_stay_grouped(folder: Path) -> None:
    register = REGISTER.replace("import USER_REGISTERED", "import PASSWORD_CHANGED, USER_REGISTERED")
    write(folder / "register_events.py", register)

    gen(*BADGE)

    grouped = "from events.event_names import PASSWORD_CHANGED, USER_REGISTERED, USER_VERIFIED\n"
    assert grouped in registering(folder)
    assert "from flask_condor import Context, Event\n" in files(folder)["events/jobs/send_badge.py"]
    assert "from flask_condor import Condor, Event, ctx\n" in files(folder)["tests/test_send_badge.py"]


def test_line_ends_and_a_missing_last_one_are_kept(folder: Path) -> None:
    write(folder / "events/event_names.py", "\ufeff" + NAMES.replace("\n", "\r\n") + '\r\nPAID = "order.paid"')
    write(folder / "register_events.py", REGISTER.replace("\n", "\r\n"))

    gen(*BADGE)

    names = files(folder)["events/event_names.py"]
    assert (
        names
        == "\ufeff" + NAMES.replace("\n", "\r\n") + '\r\nPAID = "order.paid"\r\nUSER_VERIFIED = "user.verified"\r\n'
    )
    assert registering(folder).count("\n") == registering(folder).count("\r\n") == 12


IMPORTS = """\
from __future__ import annotations

import os
from typing import Any

import sqlalchemy
from flask_condor import resolve_events_manager

# ours
from events.event_names import PAID
from events.jobs.job2 import job2
from register_events import register_events
"""


@pytest.mark.parametrize(
    ("module", "name", "above"),
    [
        ("flask_condor", "Event", "import sqlalchemy\n"),
        ("flask_condor", "zoo", "import resolve_events_manager\n"),
        ("events.event_names", "ALPHA", "from flask_condor import resolve_events_manager\n\n"),
        ("events.jobs.job10", "job10", "import job2\n"),
        ("events.jobs.job1", "job1", "import PAID\n"),
    ],
)
def test_an_import_is_sorted_in_as_isort_does(folder: Path, module: str, name: str, above: str) -> None:
    grown = add_import(Source(IMPORTS, "x.py"), module, name, folder)

    assert f"{above}from {module} import {name}\n" in grown.text
    assert len(grown.lines) == len(Source(IMPORTS, "x.py").lines) + 1


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("event", "user.verified"), "'user.verified' is no name of a constant: write capitals, as in USER_VERIFIED."),
        (("event", "UserVerified"), "as in USER_VERIFIED"),
        (("event", "1"), "as in USER_VERIFIED"),
        (("event", "A" * 256), "(256 characters)"),
        (("event", "PAID"), "PAID is one word"),
        (("event", "USER_VERIFIED", "--name", ""), "'' cannot name an event"),
        (("event", "USER_VERIFIED", "--name", "x" * 256), "(256 characters) cannot name an event"),
        (("event", "USER_VERIFIED", "--name", "a\x1b[2J"), "'a\\x1b[2J' cannot name an event"),
        (("event", "USER_REGISTERED"), "flask events gen job NAME --event USER_REGISTERED"),
        (("event", "USER_JOINED", "--name", "user.registered"), "as USER_REGISTERED"),
        (("event", "USER_VERIFIED", "--job", "send-badge"), "write small letters, as in send_badge."),
        (("event", "USER_VERIFIED", "--job", "SendBadge"), "as in send_badge"),
        (("event", "USER_VERIFIED", "--job", "class"), "'class' is no name of a job"),
        (("event", "USER_VERIFIED", "--job", "../x"), "'../x' is no name of a job"),
        (("event", "USER_VERIFIED", "--job", "__init__"), "'__init__' is no name of a job"),
        (("event", "USER_VERIFIED", "--job", "j" * 256), "at most 247"),
        (("event", "USER_VERIFIED", "--job", "a", "--job", "a"), "--job a is given twice"),
        (("event", "USER_VERIFIED", "--job", "events_manager"), "uses the name events_manager"),
        (("event", "USER_VERIFIED", "--job", "register_events"), "uses the name register_events"),
        (("event", "USER_VERIFIED", "--job", "app"), "'app' is something else in the job's test"),
        (("event", "USER_VERIFIED", "--job", "ctx"), "'ctx' is something else in the job's test"),
        (("job", "test_line", "--event", "USER_REGISTERED"), "'test_line' is something else in the job's test"),
        (("event", "USER_VERIFIED", "--job", "a", "--run", "later"), "'later' is not one of 'now'"),
        (("event", "USER_VERIFIED", "--run", "queued"), "--run says when a job runs"),
        (("event",), "Missing argument 'CONSTANT'"),
        (("event", "USER_VERIFIED", "--job", "send_welcome_email"), "events_manager.register(USER_VERIFIED, send_w"),
        (("job", "a"), "Missing option '--event'"),
        (("job", "a", "--event", "USER_REGISTRED"), "has no USER_REGISTRED. Did you mean USER_REGISTERED?"),
        (("job", "a", "--event", "user.registered"), "Did you mean USER_REGISTERED?"),
        (("job", "send_welcome_email", "--event", "USER_REGISTERED"), "email.py is there already"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_one_line_and_nothing_is_written(
    folder: Path, args: tuple[str, ...], told: str
) -> None:
    before = files(folder)

    result = run(*args)

    assert (result.exit_code, result.stdout) == (2, "")
    assert told in result.stderr.splitlines()[-1]
    assert files(folder) == before


@pytest.mark.parametrize(
    ("path", "text", "told"),
    [
        ("register_events.py", "x = 1\n", 'hand: events_manager.register(USER_VERIFIED, send_badge, run="queued")'),
        ("register_events.py", "def register_events(manager):\n    manager.register(X)\n", "Add by hand"),
        ("register_events.py", "def register_events(): pass\n", "Add by hand"),
        ("register_events.py", "async def register_events():\n    pass\n", "Add by hand"),
        ("register_events.py", "def register_events():\n    for name in ALL: register(name)\n", "Add by hand"),
        ("register_events.py", "from x import send_badge\n" + EMPTY, "uses the name send_badge"),
        ("register_events.py", "def register_events(:\n", "register_events.py, line 1: invalid syntax"),
        ("register_events.py", "\0", "register_events.py"),
        ("events/event_names.py", "class USER_VERIFIED: ...\n", "has USER_VERIFIED already"),
        ("events/jobs/send_badge/x.py", "", "events/jobs/send_badge is there already"),
        ("tests/test_send_badge.py", "", "tests/test_send_badge.py is there already"),
    ],
)  # fmt: skip
def test_files_that_are_not_understood_or_there_already_are_left_alone(
    folder: Path, path: str, text: str, told: str
) -> None:
    write(folder / path, text)
    before = files(folder)

    result = run(*BADGE, "--run", "queued")

    assert (result.exit_code, result.stdout) == (2, "")
    assert told in result.stderr
    assert result.stderr.count("\n") == 1
    assert files(folder) == before


@pytest.mark.parametrize("missing", ["register_events.py", "events/event_names.py"])
def test_without_the_events_folder_it_says_how_to_get_one(folder: Path, missing: str) -> None:
    (folder / missing).unlink()

    result = run(*BADGE)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"Error: there is no {missing} here: run `flask events init` in the app's folder first.\n"


def test_how_to_run_a_job_for_one_more_event_is_told_only_where_it_does_not_yet(folder: Path) -> None:
    again = run("job", "send_welcome_email", "--event", "USER_REGISTERED")

    assert again.stderr == "Error: events/jobs/send_welcome_email.py is there already. Nothing was written.\n"


def test_text_that_is_not_utf_8_is_refused(folder: Path) -> None:
    (folder / "register_events.py").write_bytes(b"# \xff\n")

    result = run(*BADGE)

    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "register_events.py is no file of UTF-8 text" in result.stderr


def test_when_one_file_cannot_be_written_the_others_are_as_they_were(folder: Path) -> None:
    before = files(folder)
    write_one: Callable[[Path, changes.Change], None] = changes.write_one

    def full_disk(path: Path, change: changes.Change) -> None:
        if path.name == "test_send_badge.py":
            raise OSError(28, "No space left on device", str(path))
        write_one(path, change)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(changes, "write_one", full_disk)
        result = run(*BADGE)

    assert result.exit_code == 1
    assert result.stderr.endswith("test_send_badge.py: No space left on device.\n")
    assert files(folder) == before
