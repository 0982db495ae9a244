"""The bodies of requests and the answers to those that are refused, in an app of the tests and under gunicorn."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from flask import Flask
from flask import Response
from flask import request
from flask.testing import FlaskClient
from flask_condor.ingress.bodies import read_body
from flask_condor.ingress.bodies import read_incoming
from flask_condor.ingress.problem import problem
from flask_condor.ingress.rejection import Rejected
from flask_condor.ingress.strict_json import LARGEST_BODY

from tests.servers import Server
from tests.servers import gunicorn


def create_app() -> Flask:
    """An app whose one route answers with what it has read."""
    app = Flask("echo")
    app.config["MAX_CONTENT_LENGTH"] = 10_000_000

    @app.post("/trigger")
    def trigger() -> Any:
        try:
            return [[incoming.name, incoming.payload] for incoming in read_incoming(request, read_body(request))]
        except Rejected as rejected:
            return problem(rejected)

    return app


@pytest.fixture
def client() -> FlaskClient:
    return create_app().test_client()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with gunicorn(f"{Path(__file__).stem}:create_app()", "--pythonpath", "tests") as running:
        yield running


def post(client: FlaskClient, body: bytes, kind: str = "application/json", **headers: str) -> Any:
    return client.post("/trigger", data=body, content_type=kind, headers=headers)


def test_a_refusal_is_a_problem_that_names_its_rule(client: FlaskClient) -> None:
    answer = post(client, b"{")

    assert (answer.status_code, answer.content_type) == (400, "application/problem+json")
    assert answer.get_json(force=True) == {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": "The body is no JSON document: Input data was truncated.",
        "rule": "malformed",
    }


@pytest.mark.parametrize("body", [b"{}", b"null", b"[]", b'"x"', b'""', b"123"])
def test_without_an_event_the_answer_is_that_of_the_trigger_dev_page(client: FlaskClient, body: bytes) -> None:
    answer = post(client, body)

    assert (answer.status_code, answer.content_type) == (400, "application/json")
    assert answer.get_json() == {"error": "Missing required fields"}


def test_the_headers_of_a_rejection_are_those_of_the_answer() -> None:
    answer: Response = problem(Rejected(503, "backlog", "Later.", {"Retry-After": "30"}))

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")


@pytest.mark.parametrize(
    "kind", ["text/plain", "", "application/x-www-form-urlencoded", "application/cloudevents+avro"]
)
def test_another_content_type_is_refused_and_told_what_is_taken(client: FlaskClient, kind: str) -> None:
    answer = post(client, b'{"event": "e"}', kind, **{"ce-id": "1"} if "avro" in kind else {})

    assert answer.status_code == 415
    assert answer.headers["Accept"].split(", ") == [
        "application/json",
        "application/cloudevents+json",
        "application/cloudevents-batch+json",
    ]


def test_parameters_of_a_content_type_change_nothing(client: FlaskClient) -> None:
    assert post(client, b'{"event": "e"}', "Application/JSON; charset=utf-8").json == [["e", None]]


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "deflate", "br", "identity, gzip", "nonsense"])
def test_a_compressed_body_is_refused_unread(client: FlaskClient, encoding: str) -> None:
    bomb = gzip.compress(b" " * 10_000_000)

    answer = post(client, bomb, **{"Content-Encoding": encoding})

    assert (answer.status_code, answer.headers["Accept-Encoding"]) == (415, "identity")
    assert json.loads(answer.data)["rule"] == "compressed"


def test_a_body_that_is_said_to_be_as_it_is_is_taken(client: FlaskClient) -> None:
    assert post(client, b'{"event": "e"}', **{"Content-Encoding": "identity"}).status_code == 200


def event_of(length: int) -> bytes:
    start, end = b'{"event": "e", "payload": "', b'"}'
    return start + b"x" * (length - len(start) - len(end)) + end


@pytest.mark.parametrize("over", [0, 1, 2, 100_000])
def test_a_body_is_taken_up_to_its_limit_whatever_that_of_the_app(client: FlaskClient, over: int) -> None:
    answer = post(client, event_of(LARGEST_BODY + over))

    assert answer.status_code == (413 if over else 200)


@pytest.mark.parametrize("over", [0, 1, 2, 100_000])
def test_a_body_in_chunks_has_the_same_limit(server: Server, over: int) -> None:
    body = event_of(LARGEST_BODY + over)
    chunks = [body[start : start + 50_000] for start in range(0, len(body), 50_000)]

    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("POST", "/trigger", iter(chunks), {"Content-Type": "application/json"}, encode_chunked=True)
    answer = connection.getresponse()

    assert answer.status == (413 if over else 200)
    connection.close()


def sent_raw(server: Server, head: str, body: bytes) -> bytes:
    """Send what no client library would, and return the first line of the answer."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        lines = ["POST /trigger HTTP/1.1", "Host: localhost", "Content-Type: application/json", head, "", ""]
        connection.sendall("\r\n".join(lines).encode() + body)
        connection.shutdown(socket.SHUT_WR)
        return connection.recv(100_000)


def test_chunks_without_an_end_are_read_no_further_than_the_limit(server: Server) -> None:
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"

    answer = sent_raw(server, "Transfer-Encoding: chunked", chunk * 5)

    assert answer.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("Content-Length: 100", b'{"event": "e"}'),
        ("Transfer-Encoding: chunked", b'e\r\n{"event": "e"}\r\nnonsense\r\n'),
        ("Transfer-Encoding: chunked", b'20\r\n{"event": "e"}'),
        ("Content-Length: 3", b'{"event": "e"}'),
    ],
)
def test_a_body_that_is_not_as_long_as_it_is_said_to_be_is_refused(server: Server, head: str, body: bytes) -> None:
    assert sent_raw(server, head, body).startswith(b"HTTP/1.1 400 ")


CLOUDEVENT = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": {"a": [1, 2.5, None, "x\u732b"]}}
FORMS = [
    ("application/json", b'{"event": "e", "payload": {"a": [1, {"b": "c\\n"}]}, "delay": {"hours": 1}, "id": "7"}'),
    ("application/cloudevents+json", json.dumps(CLOUDEVENT).encode()),
    ("application/cloudevents-batch+json", json.dumps([CLOUDEVENT, CLOUDEVENT]).encode()),
]
PIECES = [
    b'"',
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"\0",
    b"\xff",
    b"NaN",
    b"1e999",
    b"9" * 20,
]


def mutated(body: bytes, random: Random) -> bytes:
    """Return *body* with a few bytes put in, taken out, altered or doubled."""
    for _ in range(random.randint(1, 4)):
        at, length = random.randint(0, len(body)), random.randint(1, 9)
        put = random.choice([random.choice(PIECES), b"", random.randbytes(1), body[at : at + length] * 2])
        body = body[:at] + put + body[at + (0 if put in PIECES else length) :]
    return body


@pytest.mark.parametrize("count", [1_000, pytest.param(100_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("kind", "body"), FORMS, ids=["simple", "structured", "batch"])
def test_a_body_is_read_or_refused_whatever_becomes_of_it(
    client: FlaskClient, kind: str, body: bytes, count: int
) -> None:
    random = Random(5)

    statuses = {post(client, mutated(body, random), kind).status_code for _ in range(count)}

    assert {200, 400} <= statuses <= {200, 400, 415}
