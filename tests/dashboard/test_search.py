"""What is typed in the search field, as URL parameters, and what it says of what it cannot read."""

from __future__ import annotations

import pytest
from flask_condor.dashboard.search import SearchWrong
from flask_condor.dashboard.search import parameters_of
from flask_condor.dashboard.search import paths_of

ID = "019ab3c4-0000-7000-8000-000000000001"


@pytest.mark.parametrize(
    ("typed", "parameters"),
    [
        ("", {}),
        ("name:order.* status:failed", {"name": "order.*", "status": "failed"}),
        ("order.paid", {"name": "order.paid"}),
        (ID, {"id": ID}),
        ("payload.user.id:123", {"payload": "user.id:123"}),
        ('payload.user.name:"Ada \\"L\\" Lovelace"', {"payload": 'user.name:"Ada \\"L\\" Lovelace"'}),
        ("payload.a:1 payload.b:2", {"payload": "a:1 b:2"}),
        ("error:ValueError job:jobs.mail:send_mail", {"error": "ValueError", "job": "jobs.mail:send_mail"}),
        ("subject:orders/* name:a", {"subject": "orders/*", "name": "a"}),
        (f"  root:{ID}\t source:http ", {"root": ID, "source": "http"}),
    ],
)
def test_what_is_typed_becomes_parameters(typed: str, parameters: dict[str, str]) -> None:
    assert parameters_of(typed) == parameters


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("nmae:a", "nmae: is nothing to search by. Did you mean name:?"),
        ("wheel:a", "There are name, status"),
        ("status:broken", "status:broken is none of ok, partial, failed"),
        ("name:", "name: has no value. Type one right after the colon"),
        ("name: a", "name: has no value"),
        ("name:a name:b", "name: is there twice"),
        ("a b", "name: is there twice"),
        ("payload:1", "payload: needs the path of a value"),
        ("payload.a..b:1", "names no value of a payload"),
        ('name:"a', "cannot be read. Put what has spaces in double quotes"),
        ('name:a"b', "cannot be read"),
        (" ".join(f"payload.a{n}:1" for n in range(6)), "asks for 6 values of the payload"),
        ("x" * 1001, "1,001 characters long"),
    ],
)
def test_what_cannot_be_read_is_told_in_a_sentence(typed: str, told: str) -> None:
    with pytest.raises(SearchWrong) as refused:
        parameters_of(typed)

    assert told in str(refused.value)


@pytest.mark.parametrize("text", [":", "a", "a:", ":1", "a.:1", ".a:1", 'a"b:1', "a\0:1", "a:\0", "a." * 21 + "a:1"])
def test_a_parameter_that_names_no_value_is_refused(text: str) -> None:
    with pytest.raises(SearchWrong, match="names no value"):
        paths_of(text)


def test_the_value_of_a_parameter_begins_after_the_first_colon() -> None:
    assert paths_of('user.at:12:30  a:"b c"') == [(("user", "at"), "12:30"), (("a",), "b c")]
