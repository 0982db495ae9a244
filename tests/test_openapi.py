"""The OpenAPI document of the ingress: what keeps to it is taken, what does not is refused, each answer is as told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from typing import NamedTuple

import pytest
import schemathesis
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor.ingress.bodies import ACCEPTED
from flask_condor.ingress.openapi import document_of
from flask_condor.ingress.tokens import create
from hypothesis import HealthCheck
from hypothesis import Phase
from hypothesis import given
from hypothesis import settings
from schemathesis import Case
from schemathesis import CheckFunction
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.commands import printed
from tests.triggers import ingress
from tests.triggers import rows

NOT_IN_SCHEMAS = {
    "name-invalid",
    "id-invalid",
    "attribute-invalid",
    "nul",
    "number-too-large",
    "id-taken",
    "delay-invalid",
}
"""What schemas have no words for, as which characters are printable; the document says so in its description."""
SECRET = "whsec_" + "c2VjcmV0" * 6

FEW_OR_MANY = pytest.mark.parametrize("examples", [50, pytest.param(2_000, marks=pytest.mark.slow)])
same_each_time = settings(
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


class Answer(NamedTuple):
    status: int
    rule: str | None


def job(event: Event[Any], ctx: Context) -> None:
    """Do nothing."""


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[EventsManager]:
    with ingress(f"sqlite:///{tmp_path}/condor.db", trigger_secrets=[SECRET]) as manager:
        manager.register("order.paid", job)
        yield manager


def document(manager: EventsManager) -> dict[str, Any]:
    return document_of(manager.app, manager.config)


def run_against(manager: EventsManager, mode: GenerationMode, examples: int, *without: CheckFunction) -> list[Answer]:
    """Post what schemathesis makes up, check each answer by the document, and return them with the rules they tell.

    :param without: checks that are not made.
    """
    described = document(manager)
    if mode is GenerationMode.NEGATIVE:
        # The one parameter, Idempotency-Key, says nothing beside a CloudEvent, whatever it is.
        del described["paths"]["/trigger"]["post"]["parameters"]
    schema = schemathesis.openapi.from_dict(described)
    schema.app = manager.app
    refusals = schema.config.checks.negative_data_rejection
    refusals.expected_statuses = [*refusals.expected_statuses, "413"]
    with manager.log.begin("no token was made") as connection:
        headers = {"Authorization": f"Bearer {create(connection, 'partner', actor='tests').token}"}
    answers = []

    @given(schema["/trigger"]["POST"].as_strategy(generation_mode=mode, headers=headers))
    @settings(same_each_time, max_examples=examples)
    def post(case: Case[Any]) -> None:
        answer = case.call_and_validate(headers=headers, excluded_checks=list(without))
        answers.append(Answer(answer.status_code, answer.json().get("rule")))

    post()
    return answers


def test_the_command_prints_the_document(manager: EventsManager) -> None:
    assert json.loads(printed(manager, "openapi")) == document(manager)


def test_the_document_is_one_of_openapi(manager: EventsManager) -> None:
    schemathesis.openapi.from_dict(document(manager)).validate()


def test_each_form_that_is_taken_is_in_the_document(manager: EventsManager) -> None:
    (path,) = document(manager)["paths"].values()

    assert set(path["post"]["requestBody"]["content"]) == set(ACCEPTED)


@FEW_OR_MANY
def test_what_keeps_to_the_document_is_taken_unless_a_limit_forbids(manager: EventsManager, examples: int) -> None:
    answers = run_against(manager, GenerationMode.POSITIVE, examples, positive_data_acceptance)

    assert {answer.status for answer in answers} >= {200, 202}
    assert {answer.rule for answer in answers if answer.rule} <= NOT_IN_SCHEMAS


@FEW_OR_MANY
def test_what_does_not_keep_to_the_document_is_refused_as_it_says(manager: EventsManager, examples: int) -> None:
    answers = run_against(manager, GenerationMode.NEGATIVE, examples)

    assert {400} <= {answer.status for answer in answers} <= {400, 413, 415}
    assert not rows(manager, "events")
