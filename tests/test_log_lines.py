"""The lines in Python's log: each has an action that the how-to explains, and nothing that is stored can forge one."""

from __future__ import annotations

import ast
import io
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flask_condor
import pytest
from flask import Flask
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor import JobsFailed
from flask_condor.deliveries import Reaped
from flask_condor.line import ACTIONS
from flask_condor.line import tell
from flask_condor.plan import Plan
from flask_condor.report import Report
from flask_condor.retry import Retry
from flask_condor.worker import Worker

PACKAGE = Path(flask_condor.__file__).parent
PAGE = Path(__file__).parent.parent / "docs" / "how-to" / "observe.md"
ROW = re.compile(r"^\| `(?P<action>\w+)` \| (?P<level>[A-Z]+) \| (?P<extras>[\w, ]*) ?\|", re.MULTILINE)
TABLE = {row["action"]: row for row in ROW.finditer(PAGE.read_text())}
EXTRAS = {action: set(re.findall(r"\w+", row["extras"])) for action, row in TABLE.items()}

MARK = "[2026-11-21] [1] [CRITICAL] forged"
NASTY = f"x\r\n{MARK}\n{MARK}\x1b[2J\x1b]0;title\x07\x85{MARK}\u2028{MARK}\u2029\x0b{MARK}\x9b1m\u202egnp"
SECRET = "tulip-4711"


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What a plain handler writes of everything that is logged."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("[%(levelname)s] %(action)s %(message)s", defaults={"action": "-"}))
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(before)


def tell_calls() -> Iterator[tuple[str, ast.Call]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text())
        if not any(isinstance(node, ast.ImportFrom) and node.module == "line" for node in tree.body):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "tell":
                yield f"{path.name}:{node.lineno}", node


def actions_of(call: ast.Call) -> set[str]:
    nodes = ast.walk(call.args[1])
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def run_worker(manager: EventsManager, caplog: pytest.LogCaptureFixture | None = None) -> None:
    worker = Worker(manager, Plan(once=True, replaceable=False, threads=1))
    worker.open()
    worker.run()


def fail(event: Event[Any], ctx: Context) -> None:
    raise ValueError(NASTY)


fail.__name__ = fail.__qualname__ = NASTY


def succeed(event: Event[Any], ctx: Context) -> None:
    pass


def nasty_manager(folder: Path, **settings: Any) -> EventsManager:
    app = Flask("nasty")
    app.testing = True
    app.config.from_mapping(CONDOR_DATABASE_URL=f"sqlite:///{folder / 'condor.db'}", **settings)
    Condor(app)
    manager: EventsManager = app.extensions["condor"]
    return manager


# --- one vocabulary


def test_the_page_lists_every_action_with_its_level() -> None:
    listed = {action: row["level"] for action, row in TABLE.items()}

    assert listed == {action: logging.getLevelName(level) for action, level in ACTIONS.items()}


def test_each_line_of_the_package_has_an_action_of_the_table_and_each_action_a_line() -> None:
    found = {place: actions_of(call) for place, call in tell_calls()}

    assert [place for place, actions in found.items() if not actions or not actions <= ACTIONS.keys()] == []
    assert set().union(*found.values()) == ACTIONS.keys()


def test_each_line_has_the_extras_that_the_page_tells() -> None:
    wrong = []
    for place, call in tell_calls():
        named = {keyword.arg for keyword in call.keywords} - {"error", "details"}
        for action in actions_of(call):
            if not (named - {None} <= EXTRAS[action] if None in named else named == EXTRAS[action]):
                wrong.append((place, action, named))

    assert wrong == []


def test_nothing_is_logged_in_another_way() -> None:
    ways = {"debug", "info", "warning", "error", "exception", "critical", "log"}
    others = []
    shop_of_the_demo = PACKAGE / "demo" / "shop.py"  # logs as an app does
    for path in sorted({*PACKAGE.rglob("*.py")} - {shop_of_the_demo}):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ways:
                if ast.unparse(node.func.value).lower().endswith(("logger", "logging")):
                    others.append(f"{path.name}:{node.lineno}")

    assert others == []


def test_the_lines_of_runs_carry_the_extras_of_the_page(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    manager = nasty_manager(tmp_path)
    manager.register("x", succeed, fail, run="queued", retry=Retry(max_attempts=2, wait=0))
    with caplog.at_level(logging.INFO):
        event = manager.emit("x")
        run_worker(manager)
        run_worker(manager)

    told = [vars(record) for record in caplog.records if hasattr(record, "action")]
    assert {"job_done", "attempt_failed", "job_dead", "worker_ended"} <= {one["action"] for one in told}
    plain = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "action"}
    for one in told:
        assert set(one) - plain == EXTRAS[one["action"]]
    done = next(one for one in told if one["action"] == "job_done")
    assert (done["event_id"], done["job"], done["attempt"], done["state"]) == (
        event.id,
        f"{__name__}:succeed",
        1,
        "done",
    )
    assert done["delivery_id"] == 1 and done["seconds"] >= 0 and done["worker"]


def test_a_line_names_the_place_that_told_it(caplog: pytest.LogCaptureFixture) -> None:
    tell(logging.getLogger("x"), "job_failed", "%s", 1)

    assert (caplog.records[0].filename, caplog.records[0].funcName) == (
        Path(__file__).name,
        "test_a_line_names_the_place_that_told_it",
    )


# --- nothing forges or splits a line


def lines_of(written: io.StringIO) -> list[str]:
    text = written.getvalue()
    assert text
    lines = text.splitlines()
    assert lines == text.rstrip("\n").split("\n"), "something else than a newline ends a line"
    assert [line for line in lines if not line.isprintable()] == []
    assert [line for line in lines if line.startswith(MARK)] == []
    assert [line for line in lines if not line.startswith(("  ", "[DEBUG]", "[INFO]", "[WARNING]", "[ERROR]"))] == []
    return lines


@pytest.mark.parametrize("policy", ["raise", "log"])
@pytest.mark.parametrize("run", ["now", "after_response"])
def test_a_failing_job_cannot_forge_a_line(tmp_path: Path, written: io.StringIO, policy: str, run: Any) -> None:
    manager = nasty_manager(tmp_path, CONDOR_JOB_ERRORS=policy)
    manager.register(NASTY, fail, run=run)

    try:
        manager.emit(NASTY, id=NASTY)
    except JobsFailed:
        assert (policy, run) == ("raise", "now")

    lines = [line for line in lines_of(written) if "job_failed" in line]
    assert len(lines) == 1
    assert "\\n[2026-11-21]" in lines[0] and "\\x1b[2J" in lines[0]


def test_a_dropped_job_cannot_forge_a_line(tmp_path: Path, written: io.StringIO) -> None:
    manager = nasty_manager(tmp_path)
    manager.register(NASTY, fail, run="after_response")

    def view() -> tuple[str, int]:
        manager.emit(NASTY, id=NASTY)
        return "", 500

    manager.app.add_url_rule("/", view_func=view)
    manager.app.test_client().get("/")

    assert [line for line in lines_of(written) if line.startswith("[WARNING] job_dropped")]


def test_a_worker_s_lines_cannot_be_forged(tmp_path: Path, written: io.StringIO) -> None:
    manager = nasty_manager(tmp_path)
    manager.app.debug = True
    manager.register(NASTY, succeed, fail, run="queued", retry=Retry(max_attempts=2, wait=0))
    manager.register("gone", fail, run="queued")
    manager.emit(NASTY, id=NASTY)
    manager.emit("gone")
    manager.unregister("gone", fail)
    run_worker(manager)
    run_worker(manager)
    Report(debug=True).reaped([Reaped(1, NASTY, NASTY, NASTY, 1, NASTY, dead) for dead in (False, True)])

    told = [line.split()[1] for line in lines_of(written) if line.startswith("[")]
    expected = {"job_done", "attempt_failed", "job_dead", "job_unknown", "delivery_reaped", "delivery_given_up"}
    assert expected <= set(told)


def test_extras_cannot_split_a_line_either(caplog: pytest.LogCaptureFixture) -> None:
    tell(logging.getLogger("x"), "job_failed", "%s", NASTY, event_name=NASTY, attempt=3)

    (record,) = caplog.records
    assert vars(record)["event_name"].isprintable()
    assert vars(record)["attempt"] == 3


def test_an_error_that_cannot_be_read_is_told_all_the_same(written: io.StringIO) -> None:
    class Broken(Exception):
        @property
        def __traceback__(self) -> Any:  # type: ignore[override]  # broken on purpose
            raise LookupError

    try:
        raise ValueError("outer")
    except ValueError as error:
        error.__cause__ = Broken()
        tell(logging.getLogger("x"), "job_failed", "it failed", error=error)

    assert lines_of(written)[0] == "[ERROR] job_failed it failed"


# --- payloads stay out


def test_no_line_holds_a_payload(tmp_path: Path, written: io.StringIO) -> None:
    manager = nasty_manager(tmp_path)
    manager.register("x", fail, run="queued", retry=Retry(max_attempts=1))
    manager.register("y", fail)
    manager.emit("x", {"key": SECRET})
    with pytest.raises(JobsFailed):
        manager.emit("y", {"key": SECRET})
    assert manager.queueing.recorder.flush(60)
    run_worker(manager)

    assert "job_dead" in written.getvalue() and "job_failed" in written.getvalue()
    assert SECRET not in written.getvalue()


def test_an_error_of_the_database_does_not_show_the_payload(
    durable_manager: EventsManager, written: io.StringIO
) -> None:
    def fire(event: Event[Any], ctx: Context) -> None:
        with durable_manager.log.begin() as connection:
            is_sqlite = connection.dialect.name == "sqlite"
            connection.exec_driver_sql(f"DROP TABLE condor_events{'' if is_sqlite else ' CASCADE'}")
        ctx.events.emit("x", {"key": SECRET})

    durable_manager.register("x", succeed, run="queued")
    durable_manager.register("y", fire, run="after_response")
    durable_manager.emit("x")
    durable_manager.emit("y")

    assert "job_failed" in written.getvalue() and "Traceback" in written.getvalue()
    assert SECRET not in written.getvalue()
