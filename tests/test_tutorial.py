"""The tutorial: its commands print what the page shows, once its files and changes are made, from top to bottom."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ports import kept_port
from tests.servers import ROOT
from tests.servers import wait_until_it_listens

PAGE = (ROOT / "docs" / "tutorial" / "first-event.md").read_text()
SHOWN_AT = "127.0.0.1:5000"
FLASK = str(Path(sys.executable).with_name("flask"))
PATIENCE = 30.0
"""Seconds in which a server or its worker must have done what a command then tells of."""


class Reader:
    """Somebody who follows a page in two terminals: one for a server, until the page says Ctrl-C, one for the rest."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("CONDOR", "FLASK", "PYTEST"))}
        path = f"{Path(sys.executable).parent}{os.pathsep}{ours['PATH']}"
        self.environment = ours | {"PATH": path, "FLASK_RUN_PORT": str(self.port)}
        self.server: subprocess.Popen[bytes] | None = None

    def follow(self, page: str) -> None:
        for kind, text in blocks(page):
            if kind == "console":
                for command, shown in commands(text):
                    self.type(command, shown)
            elif kind == "python":
                path = text.partition("\n")[0].removeprefix("# ")
                (self.folder / path).write_text(text.partition("\n")[2])
            elif kind == "diff":
                subprocess.run(["git", "apply"], cwd=self.folder, input=text, text=True, check=True, timeout=60)
            elif "Ctrl-C" in text:
                self.end_server()

    def type(self, command: str, shown: str) -> None:
        if command.startswith("cd "):
            self.folder = (self.folder / command.removeprefix("cd ")).resolve(strict=True)
        elif command == "flask run":
            self.start_server(shown)
        else:
            self.expect(command, shown)

    def expect(self, command: str, shown: str) -> None:
        deadline = time.monotonic() + PATIENCE * reads_only(command)
        while not is_as(shown, printed := self.run(command)) and time.monotonic() < deadline:
            time.sleep(0.5)
        assert is_as(shown, printed), f"$ {command}\n{printed}\n--- but the page shows\n{shown}"

    def run(self, command: str) -> str:
        ended = subprocess.run(
            ["sh", "-c", command.replace(SHOWN_AT, f"127.0.0.1:{self.port}")],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        return ended.stdout.replace(f"127.0.0.1:{self.port}", SHOWN_AT)

    def start_server(self, shown: str) -> None:
        output = self.folder.parent / "server.log"
        with output.open("wb") as file:
            self.server = subprocess.Popen(
                [FLASK, "run"], cwd=self.folder, env=self.environment, stdout=file, stderr=subprocess.STDOUT
            )
        wait_until_it_listens(self.port, self.server)
        deadline = time.monotonic() + PATIENCE
        while not is_as(shown, printed := output.read_text().replace(f":{self.port}", ":5000")):
            assert time.monotonic() < deadline, f"$ flask run\n{printed}\n--- but the page shows\n{shown}"
            time.sleep(0.1)

    def end_server(self) -> None:
        if self.server is not None:
            self.server.terminate()
            self.server.wait(30)
            self.server = None


def blocks(page: str) -> Iterator[tuple[str, str]]:
    """Take a page apart into its blocks and the prose between them, of which the kind is ""."""
    parts = re.split(r"^```(\w+)\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    for number in range(0, len(parts), 3):
        yield "", parts[number]
        if number + 1 < len(parts):
            yield parts[number + 1], parts[number + 2]


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Take a transcript apart into each command and what it printed."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        yield command, shown


def reads_only(command: str) -> bool:
    """Whether *command* may be asked again, while a server's worker is still at what it is to tell."""
    return command.startswith(("flask events stats", "flask events list", "flask events log", "flask events show"))


def is_as(shown: str, printed: str) -> bool:
    """Tell whether *printed* is what is shown, where "..." stands for anything, and columns may be wider."""
    pattern = ".*".join(re.escape(part) for part in even(shown).split("..."))
    return re.fullmatch(pattern, even(printed), re.DOTALL) is not None


def even(text: str) -> str:
    plain = re.sub(r"\x1b\[\d+m", "", text)
    return re.sub(r"-{4,}", "----", re.sub(r"[ \t]+", " ", plain)).strip()


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    with kept_port() as port:
        reader = Reader(tmp_path, port)
        yield reader
        reader.end_server()


@pytest.mark.slow
def test_the_first_event_goes_as_the_page_shows(reader: Reader) -> None:
    reader.follow(PAGE)


@pytest.mark.parametrize(
    ("shown", "printed"),
    [("Made ... files.", "Made no file."), ("one\n...\nfour", "one\ntwo\nfour\nfive"), ("", "Traceback")],
)
def test_what_is_not_shown_is_told_apart(shown: str, printed: str) -> None:
    assert not is_as(shown, printed)


def test_a_page_that_shows_something_else_fails(reader: Reader) -> None:
    with pytest.raises(AssertionError, match="but the page shows"):
        reader.follow("```console\n$ echo yes\nno\n```\n")
