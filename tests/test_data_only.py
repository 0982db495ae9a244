"""What comes in is data: nothing of a message is imported, unpickled or evaluated, whatever it names (T31, T32)."""

from __future__ import annotations

import ast
import base64
import logging
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flask_condor
import pytest
from flask_condor import EventName
from flask_condor import EventsManager
from flask_condor.ingress.rejections import Rejections
from flask_condor.models import deliveries
from sqlalchemy import update

from tests.triggers import ingress
from tests.triggers import make_manager
from tests.triggers import post
from tests.triggers import rows

PACKAGE = Path(flask_condor.__file__).parent
MARKER = "hunter2hunter2"
READERS = {"pickle", "shelve", "yaml", "dill", "cloudpickle", "jsonpickle", "xml"}
EVALUATE = {"eval", "exec", "compile", "__import__"}
MAY = {
    "import_module": {"subscribers.py", "commands/shown.py", "dashboard/blueprint.py"},
    "marshal": {"recording.py", "records.py"},
}
"""What the app's own configuration and the package itself name; a copy that never leaves the process."""


class Bomb:
    """Raises when it is unpickled."""

    def __reduce__(self) -> Any:
        return exec, ("raise SystemExit('unpickled')",)


PICKLED = base64.b64encode(pickle.dumps(Bomb())).decode()
PAYLOADS: list[Any] = [
    PICKLED,
    {"__reduce__": ["os._exit", [1]], "py/object": "subprocess.Popen", "py/reduce": [{"py/type": "os._exit"}, [1]]},
    "!!python/object/apply:os._exit [1]",
    {"__class__": "os._exit", "$type": "System.Object", "@type": "os._exit", "job": "os:_exit"},
    "{{ 7 * 7 }} ${7*7} %(x)s {0.__class__}",
]


@pytest.fixture
def manager(database_url: str) -> Iterator[EventsManager]:
    with ingress(database_url) as manager:
        yield manager


def keep(event: Any, ctx: Any) -> Any:
    return event.payload


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_payload_reaches_the_job_as_the_data_that_it_is(manager: EventsManager, payload: Any) -> None:
    manager.register("order.placed", keep)

    response = post(manager, {"event": "order.placed", "payload": payload})

    assert response.get_json()["result"]["payload"] == payload
    (row,) = rows(manager, "events")
    assert manager.registry.typed_names.from_json("order.placed", row["payload"]) == payload


@pytest.mark.parametrize("name", ["os:_exit", "os._exit", "builtins:exec", "tests.test_data_only:keep", "__import__"])
def test_only_registered_names_have_jobs(manager: EventsManager, name: str) -> None:
    response = post(manager, {"event": name, "payload": 1})

    assert response.headers["Condor-Orphan"] == "true"
    assert rows(manager, "deliveries") == []


def test_a_delivery_that_names_another_function_is_left_alone(manager: EventsManager) -> None:
    from flask_condor.plan import Plan
    from flask_condor.worker import Worker

    manager.register("order.placed", keep)
    post(manager, {"event": "order.placed", "payload": 1})
    with manager.log.begin() as connection:
        connection.execute(update(deliveries).values(job="os:_exit"))

    worker = Worker(manager, Plan(once=True))
    worker.open()
    worker.run()

    assert [(row["job"], row["state"], row["attempt"]) for row in rows(manager, "deliveries")] == [
        ("os:_exit", "pending", 0)
    ]


def test_the_package_has_no_reader_that_runs_what_it_reads() -> None:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        short = str(path.relative_to(PACKAGE))
        if short.startswith("skeleton/"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = imported(node) | called(node)
            bad = {name for name in names & (READERS | EVALUATE | MAY.keys()) if short not in MAY.get(name, ())}
            found += [f"{short}:{getattr(node, 'lineno', 0)}: {name}" for name in sorted(bad)]

    assert found == []


def imported(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name.partition(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom) and not node.level:
        return {str(node.module).partition(".")[0], *(alias.name for alias in node.names)}
    return set()


def called(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
        return {node.func.id} if isinstance(node.func, ast.Name) else {node.func.attr} & {"import_module"}
    return set()


def test_secrets_are_in_no_line_and_no_answer(
    manager: EventsManager, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    manager.register(EventName("typed", dict[str, int]), keep)
    secret = {"password": MARKER, "nested": [{"api_key": MARKER}]}
    headers = {"Authorization": f"Bearer {MARKER}", "Cookie": f"session={MARKER}", "X_Api_Key": MARKER}
    with caplog.at_level(logging.DEBUG):
        answers = [
            post(manager, {"event": "typed", "payload": secret}, **headers),
            post(manager, {"event": "any", "payload": secret, "id": "1"}, **headers),
            post(manager, {"event": "any", "payload": [secret], "id": "1"}, **headers),
            post(manager, f'{{"event": "any", "payload": {{"password": "{MARKER}"'.encode(), **headers),
            post(manager, {"event": "any", "payload": secret, "delay": -1}, **headers),
        ]

    assert [answer.status_code for answer in answers] == [422, 200, 409, 400, 400]
    assert not any(MARKER in answer.text for answer in answers if answer.status_code != 200)
    told = caplog.text + "".join(repr(vars(record)) for record in caplog.records) + "".join(capfd.readouterr())
    assert MARKER not in told
    store_rejections()
    kept = [row["headers"] for row in rows(manager, "events")]
    assert kept and MARKER not in repr(rows(manager, "rejections")) + repr(kept)


def store_rejections() -> None:
    from flask_condor.background import WRITERS

    for writer in list(WRITERS):
        if isinstance(writer, Rejections):
            writer.flush()


def test_the_password_of_the_database_is_in_no_line(caplog: pytest.LogCaptureFixture) -> None:
    manager = make_manager(f"postgresql+psycopg://condor:{MARKER}@127.0.0.1:1/none")

    response = post(manager, {"event": "any"}, Authorization=f"Bearer condor_{'A' * 43}")

    assert response.status_code == 503 and MARKER not in response.text
    assert MARKER not in caplog.text + "".join(repr(vars(record)) for record in caplog.records)
