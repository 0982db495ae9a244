"""The command line as a whole: each command has its help, its entry in the reference, and completion in the shell."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from inspect import cleandoc
from pathlib import Path

import click
import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner
from flask import Flask
from flask.cli import FlaskGroup
from flask_condor import Condor
from flask_condor.cli import COMMANDS
from flask_condor.cli import events as group

from tests.servers import ROOT

REFERENCE = (ROOT / "docs/reference/commands.md").read_text()
NAMES = group.list_commands(click.Context(group))


def paths() -> list[list[str]]:
    """The commands, and those in groups of commands."""
    found = []
    for name in NAMES:
        command = group.get_command(click.Context(group), name)
        inner = sorted(command.commands) if isinstance(command, click.Group) else []
        found += [[name], *([name, one] for one in inner)]
    return found


@pytest.mark.parametrize("path", paths(), ids=" ".join)
def test_each_command_has_help_and_an_entry_in_the_reference_with_all_its_options(path: list[str]) -> None:
    app = Flask("bare")
    Condor(app)

    result = app.test_cli_runner().invoke(group, [*path, "--help"])

    assert result.exit_code == 0 and result.stdout.startswith("Usage: ")
    heading = re.search(rf"^### `{' '.join(path)}\b.*$", REFERENCE, re.M)
    assert heading, f"docs/reference/commands.md has no entry for {' '.join(path)}"
    entry = REFERENCE[heading.start() :].partition("\n#")[0]
    options = set(re.findall(r"--[a-z-]+", result.stdout)) - {"--help", "--follow"}
    assert all(option in entry for option in options), f"of {options} one is not told"


def test_help_indents_no_line_of_a_paragraph() -> None:
    for name in COMMANDS:
        command = group.get_command(click.Context(group), name)
        assert command is not None and not re.search(r"\n +", cleandoc(command.help or "")), name


@pytest.mark.parametrize("args", [(), ("events",), ("events", "db"), ("events", "gen")], ids=" ".join)
def test_lists_of_commands_cut_no_sentence_short(args: tuple[str, ...]) -> None:
    listed = CliRunner().invoke(FlaskGroup(), [*args, "--help"], terminal_width=80).stdout

    assert "..." not in listed.partition("Commands:\n")[2] and "Commands:\n" in listed


def completions(monkeypatch: pytest.MonkeyPatch, words: str) -> list[str]:
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
    complete = BashComplete(group, {}, "events", "_EVENTS_COMPLETE")
    return [line.partition(",")[2] for line in complete.complete().splitlines()]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("events re", ["replay", "resume", "retry"]),
        ("events db u", ["upgrade"]),
        ("events fire --de", ["--delay"]),
        ("events log --state d", ["done", "dead"]),
        ("events log --state=d", ["done", "dead"]),
        ("events log --o", ["--orphans"]),
        ("events stats --last ", ["hour", "day"]),
        ("events retry --all-dead --j", ["--job", "--json"]),
        ("events nonsense --", ["--help"]),
    ],
)
def test_the_shell_completes_commands_options_and_states(
    monkeypatch: pytest.MonkeyPatch, words: str, expected: list[str]
) -> None:
    assert sorted(completions(monkeypatch, words)) == sorted(expected)


def test_the_shell_completes_for_the_flask_command_too(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("from flask import Flask\napp = Flask('app')\n")
    flask = Path(sys.executable).parent / "flask"
    asked = {"_FLASK_COMPLETE": "bash_complete", "COMP_WORDS": "flask events lo", "COMP_CWORD": "2"}

    result = subprocess.run([flask], cwd=tmp_path, env=os.environ | asked, capture_output=True, text=True)

    assert (result.stdout, result.stderr) == ("plain,log\n", "")


@pytest.mark.parametrize("args", [["--loud"], ["fire", "\udcff"]])
def test_the_flask_command_refuses_wrong_input_in_one_line(tmp_path: Path, args: list[str]) -> None:
    (tmp_path / "app.py").write_text(
        "from flask import Flask\nfrom flask_condor import Condor\nCondor(app := Flask('app'))\n"
    )

    command = [sys.executable, "-m", "flask", "events", *args]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("Error: ") and result.stderr.count("\n") == 1
