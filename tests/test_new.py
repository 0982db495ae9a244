"""`flask events new` and `flask events init`: what they write, and what they refuse, without any app."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from urllib.request import urlopen

import pytest
from click.testing import CliRunner
from click.testing import Result
from flask_condor.cli import events
from flask_condor.scaffold import skeleton

from tests.ports import kept_port
from tests.servers import ROOT
from tests.servers import wait_until_it_listens

LINES = "Condor(app, register_events=register_events)"
MADE = ["events/__init__.py", "events/event_names.py", "events/jobs/__init__.py", "register_events.py"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*args: str) -> Result:
    return CliRunner().invoke(events, args)


def printed(*args: str) -> str:
    result = run(*args)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def files(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_a_new_project_is_the_repositorys_own_app_but_for_the_line_that_installs_it(folder: Path) -> None:
    printed("new", "myapp")

    made = files(folder / "myapp")
    requirements = made.pop("requirements.txt").decode().splitlines()
    assert {"app.py", "models.py", "register_events.py", "handlers/templates/home.html", ".gitignore"} <= set(made)
    assert {"tests/__init__.py", "tests/conftest.py", "tests/test_service.py"} <= set(made)
    assert f"flask-condor=={version('flask-condor')}" in requirements
    assert not [line for line in requirements if line.startswith("-")]
    if not skeleton.PACKED.is_dir():
        assert made == {path: (ROOT / path.replace("tests/", "tests/sample/")).read_bytes() for path in made}


def test_what_python_compiled_beside_the_sources_is_left_out(folder: Path) -> None:
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "app.cpython-311.pyc").touch()
    (folder / "app.py").touch()

    assert list(skeleton.files_under(folder)) == [Path("app.py")]


def test_a_new_project_passes_its_own_tests(folder: Path) -> None:
    printed("new", "myapp")

    program = str(Path(sys.executable).with_name("pytest"))
    command = [program, "-q", "-p", "no:randomly", "-p", "no:xdist", "-k", "signing or home"]
    ended = subprocess.run(command, cwd=folder / "myapp", capture_output=True, text=True, timeout=120)

    assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize("command", [("new", "myapp"), ("init",), ("gen", "event", "USER_VERIFIED", "--dry-run")])
def test_no_app_is_needed_nor_asked_for(folder: Path, command: tuple[str, ...]) -> None:
    if command[0] == "gen":
        printed("init")

    ended = subprocess.run(
        [sys.executable, "-m", "flask", "events", *command], cwd=folder, capture_output=True, text=True, timeout=60
    )

    assert ended.returncode == 0, ended.stderr
    assert "app" not in ended.stderr


def test_an_empty_folder_may_be_there(folder: Path) -> None:
    (folder / "myapp").mkdir()

    printed("new", "myapp")

    assert (folder / "myapp" / "app.py").exists()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("taken", "taken is there already and not empty."),
        ("file", "file is there already, and no folder."),
        ("../up", "'../up' cannot name the project's folder"),
        ("a/b", "'a/b' cannot name the project's folder"),
        (".", "'.' cannot name the project's folder"),
        ("..", "'..' cannot name the project's folder"),
        ("", "'' cannot name the project's folder"),
        ("a\nb", "'a\\nb' cannot name the project's folder"),
        ("ö" * 128, "cannot name the project's folder"),
    ],
)
def test_a_project_that_cannot_be_made_is_refused_in_one_line(folder: Path, name: str, told: str) -> None:
    (folder / "taken").mkdir()
    (folder / "taken" / "x").touch()
    (folder / "file").touch()
    before = files(folder)

    result = run("new", name)

    assert (result.exit_code, result.stdout) == (2, "")
    assert told in result.stderr
    assert result.stderr.count("\n") == 1
    assert files(folder) == before


def test_a_folder_that_cannot_be_written_is_told_in_one_line(folder: Path) -> None:
    (folder / "myapp").symlink_to(folder / "nowhere" / "myapp")

    result = run("new", "myapp")

    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert result.stderr.startswith("Error: myapp")


def test_init_adds_the_events_folder_and_tells_the_lines_to_add(folder: Path) -> None:
    told = printed("init")

    assert sorted(files(folder)) == MADE
    assert [line for line in told.splitlines() if line.startswith("made")] == [
        f"made           {path}" for path in MADE
    ]
    assert LINES in told


def test_init_a_second_time_has_nothing_to_do(folder: Path) -> None:
    printed("init")
    before = files(folder)

    told = printed("init").splitlines()

    assert told == [*(f"there already  {path}" for path in MADE), "Nothing to do."]
    assert files(folder) == before


def test_init_leaves_what_is_there_as_it_is(folder: Path) -> None:
    (folder / "events").mkdir()
    (folder / "events" / "event_names.py").write_text("OURS = 1\n")

    told = printed("init").splitlines()

    assert told[:2] == ["made           events/__init__.py", "there already  events/event_names.py"]
    assert (folder / "events" / "event_names.py").read_text() == "OURS = 1\n"


def test_a_dry_run_of_init_writes_nothing(folder: Path) -> None:
    told = printed("init", "--dry-run")

    assert told.count("would be made  ") == 4
    assert files(folder) == {}


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("events.py", "events.py is here, and a folder events/ would hide it"),
        ("events", "events is here, and no folder"),
        ("events/jobs", "events/jobs is here, and no folder"),
        ("register_events.py/x", "register_events.py is here, and no file"),
    ],
)
def test_init_is_refused_where_its_files_have_no_place(folder: Path, path: str, told: str) -> None:
    (folder / path).parent.mkdir(exist_ok=True)
    (folder / path).touch()
    before = files(folder)

    result = run("init")

    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert told in result.stderr
    assert files(folder) == before


def test_what_init_writes_registers_nothing_yet_and_starts(folder: Path) -> None:
    printed("init")
    (folder / "app.py").write_text(f"""
from flask import Flask
from flask_condor import Condor
from register_events import register_events
app = Flask(__name__)
{LINES}
""")

    ended = subprocess.run(
        [sys.executable, "-m", "flask", "routes"], cwd=folder, capture_output=True, text=True, timeout=60
    )

    assert ended.returncode == 0, ended.stderr


@pytest.mark.slow
def test_the_wheel_makes_a_project_that_installs_starts_and_passes_its_tests(folder: Path) -> None:
    def do(*command: str, cwd: Path = folder) -> str:
        return subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.PIPE, text=True, timeout=600).stdout

    pip, flask = (str(folder / "venv" / "bin" / name) for name in ("pip", "flask"))
    printed("new", "from_sources")
    do(sys.executable, "-m", "venv", "venv")
    do(pip, "wheel", "-q", "--no-deps", "--wheel-dir", "dist", str(ROOT))
    do(pip, "install", "-q", "--find-links", "dist", "-r", "from_sources/requirements.txt")

    do(flask, "events", "new", "myapp")

    assert files(folder / "myapp") == files(folder / "from_sources")
    assert " passed" in do(str(folder / "venv" / "bin" / "pytest"), cwd=folder / "myapp")
    with flask_run(flask, folder / "myapp") as port:
        assert b"Sign up" in urlopen(f"http://127.0.0.1:{port}/", timeout=30).read()


@contextmanager
def flask_run(flask: str, folder: Path) -> Iterator[int]:
    with kept_port() as port:
        process = subprocess.Popen([flask, "run", "--port", str(port)], cwd=folder, stderr=subprocess.DEVNULL)
        try:
            wait_until_it_listens(port, process)
            yield port
        finally:
            process.terminate()
            process.wait(30)
