"""The tsc.run page's program: which job listens to which event is read from configuration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_condor import Condor

from tests.acceptance.programs import UUID7
from tests.acceptance.programs import Delivery
from tests.acceptance.programs import Program
from tests.acceptance.programs import served
from tests.acceptance.tsc_run.app import create_app

PAGE: dict[str, Any] = {
    "provider": "aws",
    "region": "us-east-1",
    "events": {
        "eventBus": "default",
        "subscribers": {
            "send-welcome-email": {"events": ["user.registered", "user.verified"]},
            "update-analytics": {"events": ["user.registered", "order.completed"]},
        },
    },
}
"""The page's ``tsc-run.config.ts``, as it stands there."""
ROUTES = {
    "user.registered": ["send_welcome_email", "update_analytics"],
    "user.verified": ["send_welcome_email"],
    "order.completed": ["update_analytics"],
    "payment.failed": [],
}


@pytest.fixture(scope="module")
def tsc_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with served("tests.acceptance.tsc_run.app", tmp_path_factory.mktemp("tsc_run")) as program:
        yield program


def test_who_registers_is_answered_with_their_id_and_there_is_one_event_with_it(tsc_run: Program) -> None:
    status, answer = tsc_run.post("/users", {"name": "Ada", "email": "ada@example.com", "id": "mine", "role": "admin"})

    assert status == 201 and answer == {"data": {"id": answer["data"]["id"]}}
    assert UUID7.fullmatch(answer["data"]["id"])
    ((name, payload),) = [event[1:3] for event in tsc_run.events() if event[0] == answer["data"]["id"]]
    assert name == "user.registered" and payload.keys() == {"id", "name", "email", "registeredAt"}
    assert (payload["id"], payload["name"], payload["email"]) == (answer["data"]["id"], "Ada", "ada@example.com")


def test_each_event_goes_to_the_subscribers_of_the_page_and_to_no_other(tsc_run: Program) -> None:
    answers = [tsc_run.post(f"/webhooks/{name}", {"id": f"{name}-1"}) for name in ROUTES]
    tsc_run.work_once()

    assert [status for status, _ in answers] == [202] * 4
    for name, jobs in ROUTES.items():
        assert tsc_run.deliveries(name) == {job: Delivery("done", f"{name} {name}-1") for job in jobs}
    is_orphan = {name: is_orphan for _, name, _, is_orphan in tsc_run.events()}
    assert is_orphan == {name: name == "payment.failed" for name in ROUTES}


def test_the_toml_file_says_what_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASK_CONDOR_DATABASE_URL", f"sqlite:///{tmp_path / 'condor.db'}")
    config = create_app().config

    assert config["CONDOR_BUS"] == PAGE["events"]["eventBus"]
    assert config["CONDOR_SUBSCRIBERS"] == PAGE["events"]["subscribers"]


def test_the_events_block_of_the_page_works_as_it_is(tmp_path: Path) -> None:
    app = Flask("tests.acceptance.tsc_run.app", instance_path=str(tmp_path))
    app.config.from_mapping(CONDOR_BUS=PAGE["events"]["eventBus"], CONDOR_SUBSCRIBERS=PAGE["events"]["subscribers"])
    Condor(app)

    registry = app.extensions["condor"].registry
    assert {name: [job.function.__name__ for job in registry.jobs_of(name)] for name in ROUTES} == ROUTES
