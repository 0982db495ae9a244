"""Commands of ``flask events`` for tests: run in this process, and what they printed."""

from __future__ import annotations

import json
from typing import Any

from click.testing import Result
from flask_condor import EventsManager
from flask_condor.cli import events as group


def run(manager: EventsManager, *args: object, typed: str | None = None) -> Result:
    return manager.app.test_cli_runner().invoke(group, [str(arg) for arg in args], input=typed)


def printed(manager: EventsManager, *args: object) -> str:
    result = run(manager, *args)
    assert result.exit_code == 0, result.output
    return result.stdout


def printed_json(manager: EventsManager, *args: object) -> list[dict[str, Any]]:
    return [json.loads(line) for line in printed(manager, *args, "--json").splitlines()]


def refusal(manager: EventsManager, *args: object) -> str:
    result = run(manager, *args)
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    return result.stderr
