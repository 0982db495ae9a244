"""The frame of every page: what leads from one page to another, and to another period of the same."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import flask_condor.dashboard
import pytest
from flask_condor.cli import events as group

from tests.dashboard.apps import ADA
from tests.dashboard.apps import USERS
from tests.dashboard.apps import make_app
from tests.dashboard.apps import manager_of
from tests.dashboard.test_events import store


def test_a_period_of_ones_own_is_of_the_same_page_with_its_filters(tmp_path: Path) -> None:
    client = make_app(tmp_path, users=USERS).test_client()

    path = "/below/condor/system/audit?actor=a%22b&period=24h&cursor=WzEuNSwxXQ"
    page = client.get(path.removeprefix("/below"), auth=ADA, base_url="http://localhost/below")
    (form,) = re.findall(r'<details class="menu" id="custom-period">.*?</form>', page.text, re.DOTALL)

    assert 'action="/below/condor/system/audit"' in form
    assert 'name="actor" value="a&#34;b"' in form
    assert 'name="period"' not in form and 'name="cursor"' not in form


@pytest.mark.parametrize(
    ("path", "screen"),
    [("/", "Overview"), ("/events/e1", "Events"), ("/chains/e1", "Events"), ("/system/audit", "System")],
)
def test_the_navigation_marks_the_screen_that_a_page_is_of(tmp_path: Path, path: str, screen: str) -> None:
    app = make_app(tmp_path, users=USERS)
    store(manager_of(app), {"id": "e1"})

    page = app.test_client().get(f"/condor{path}", auth=ADA, base_url="http://a/below")

    (side,) = re.findall(r'<nav class="side".*?</nav>', page.text, re.DOTALL)
    assert re.findall(r'aria-current="page">([^<]+)', side) == [screen]


def commands_named() -> list[str]:
    """Return the commands that pages tell one to type, a name in the place of what is filled in."""
    folder = Path(flask_condor.dashboard.__file__).parent
    texts = [path.read_text() for kind in ("*.html", "*.py") for path in folder.rglob(kind)]
    found = {told for text in texts for told in re.findall(r"flask events ([^\"<`]+)", text)}
    return sorted(f"{told}NAME" if told.endswith(" ") else told for told in found)


@pytest.mark.parametrize("told", commands_named())
def test_a_command_that_a_page_names_is_one(told: str) -> None:
    context, words = click.Context(group), shlex.split(told)
    command: click.Command = group
    while isinstance(command, click.Group):
        found = command.get_command(context, words[0])
        assert found is not None, f"there is no {words[0]}"
        command, words = found, words[1:]

    command.make_context("told", words, parent=context)
