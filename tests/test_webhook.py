"""The outgoing webhook: what is posted and how it is signed, what a failure becomes, and where nothing is ever sent."""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from cloudevents.v1.http import from_http
from flask import Flask
from flask_condor import Condor
from flask_condor import Event
from flask_condor import EventName
from flask_condor import EventsManager
from flask_condor.addresses import UrlInvalid
from flask_condor.errors import ConfigInvalid
from flask_condor.errors import JobRegisteredTwice
from flask_condor.errors import RuleInvalid
from flask_condor.errors import RunInvalid
from flask_condor.job import path_of
from flask_condor.plan import Plan
from flask_condor.retry import Retry
from flask_condor.webhook import Webhook
from flask_condor.webhook import webhook
from flask_condor.worker import Worker
from standardwebhooks import Webhook as Verifier

from tests.commands import printed
from tests.commands import printed_json
from tests.commands import refusal
from tests.databases import queued
from tests.partners import LOOPBACK
from tests.partners import SECRET
from tests.partners import Authority
from tests.partners import Handler
from tests.partners import Partner
from tests.partners import Resolver
from tests.partners import serving

PAID = "order.paid"
ONCE = Retry(max_attempts=1)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Authority:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    return authority


@pytest.fixture
def partner(trusted: Authority) -> Iterator[Partner]:
    with serving(Partner(trusted.certificate("localhost"))) as server:
        yield server


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[EventsManager]:
    app = Flask("shop", instance_path=str(tmp_path))
    app.testing = True
    app.config["CONDOR_DATABASE_URL"] = f"sqlite:///{tmp_path / 'condor.db'}"
    Condor(app)
    manager: EventsManager = app.extensions["condor"]
    yield manager
    manager.log.engine.dispose()


def to(partner: Partner, path: str = "/hooks", **options: Any) -> Webhook:
    return webhook(f"https://localhost:{partner.port}{path}", secret=SECRET, **{"networks": LOOPBACK, **options})


def post_one(manager: EventsManager, job: Webhook, retry: Retry = ONCE, payload: Any = None) -> Any:
    """Fire one event that *job* posts, work until nothing is due, and return the row of its delivery."""
    manager.register(PAID, job, run="queued", retry=retry)
    manager.fire(Event(PAID, payload))
    work(manager)
    return queued(manager)[-1]


def work(manager: EventsManager) -> None:
    worker = Worker(manager, Plan(once=True, replaceable=False, threads=1))
    worker.open()
    worker.run()


def test_the_event_is_posted_as_a_cloudevent_that_other_libraries_read_and_verify(
    manager: EventsManager, partner: Partner
) -> None:
    event = Event(PAID, {"order": 7, "note": "größer — ✓"})
    manager.register(PAID, to(partner, "/hooks?shop=a%20b"), run="queued")
    manager.fire(event)

    work(manager)

    [(path, headers, body)] = partner.received
    assert path == "/hooks?shop=a%20b" and headers["Host"] == f"localhost:{partner.port}"
    Verifier(SECRET).verify(body, {name.lower(): value for name, value in headers.items()})
    read = from_http(headers, body)
    assert (read["id"], read["type"], read.get_data()) == (event.id, PAID, event.payload)
    assert read["source"] == "urn:flask-condor:shop:default" and headers["webhook-id"] == event.id
    [row] = queued(manager)
    assert (row.state, json.loads(row.result)) == ("done", {"status": 204})


def test_a_typed_payload_is_posted_as_it_is_stored(manager: EventsManager, partner: Partner) -> None:
    @dataclass
    class Paid:
        order: int

    name = EventName(PAID, Paid)
    manager.register(name, to(partner), run="queued")
    manager.fire(Event(name, Paid(7)))

    work(manager)

    assert json.loads(partner.received[0][2])["data"] == {"order": 7}


def test_each_attempt_has_the_same_id_and_body_and_a_failed_one_is_tried_again(
    manager: EventsManager, partner: Partner
) -> None:
    statuses = iter([500, 503, 200])
    partner.answer = lambda handler: handler.reply(next(statuses))

    row = post_one(manager, to(partner), Retry(max_attempts=5, wait=0))

    assert (row.state, row.attempt) == ("done", 3)
    assert len({(headers["webhook-id"], body) for _, headers, body in partner.received}) == 1
    assert len(partner.received) == 3


def test_the_delivery_is_dead_after_the_last_attempt_with_the_status_and_the_begin_of_the_answer(
    manager: EventsManager, partner: Partner
) -> None:
    partner.answer = lambda handler: handler.reply(422, b"no such\r\norder\x1b[2J\0" + b"x" * 10_000)

    row = post_one(manager, to(partner), Retry(max_attempts=2, wait=0))

    first = row.error.splitlines()[0]
    assert (row.state, row.attempt, len(partner.received)) == ("dead", 2, 2)
    said = rf"WebhookFailed: localhost:{partner.port} answered 422 Unprocessable \w+: no such order\\x1b\[2J\\x00x+…?"
    assert re.fullmatch(said, first) and len(first) < 300
    assert "C2FVsBQ" not in row.error


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_failure_and_is_not_followed(
    manager: EventsManager, partner: Partner, trusted: Authority, status: int
) -> None:
    with serving(Partner(trusted.certificate("localhost"))) as inner:
        partner.answer = lambda handler: handler.reply(status, Location=f"https://localhost:{inner.port}/admin")

        row = post_one(manager, to(partner))

        assert (row.state, inner.connects, len(partner.received)) == ("dead", 0, 1)
        assert f"answered {status} " in row.error


def test_no_proxy_of_the_environment_is_asked(
    manager: EventsManager, partner: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    assert post_one(manager, to(partner)).state == "done"


@pytest.mark.parametrize(
    ("host", "days", "said"),
    [("other.example", 1, "Hostname mismatch"), ("localhost", -1, "certificate has expired")],
)
def test_a_certificate_of_another_host_or_that_has_expired_ends_it_before_anything_is_sent(
    manager: EventsManager, trusted: Authority, host: str, days: int, said: str
) -> None:
    with serving(Partner(trusted.certificate(host, days))) as server:
        row = post_one(manager, to(server))

        assert (row.state, server.received) == ("dead", []) and said in row.error


def test_a_certificate_that_nobody_vouches_for_ends_it_before_anything_is_sent(
    manager: EventsManager, authority: Authority
) -> None:
    with serving(Partner(authority.certificate("localhost"))) as server:
        row = post_one(manager, to(server))

        assert (row.state, server.received) == ("dead", []) and "CERTIFICATE_VERIFY_FAILED" in row.error


INNER = [
    "127.0.0.1",
    "localhost",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "127.1",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[2002:7f00:1::]",
    "169.254.169.254",
    "[fe80::1]",
]


@pytest.mark.parametrize("host", INNER)
def test_no_spelling_of_an_inner_address_is_connected_to(manager: EventsManager, partner: Partner, host: str) -> None:
    job = webhook(f"https://{host}:{partner.port}/hooks", secret=SECRET)

    row = post_one(manager, job)

    assert (row.state, partner.connects) == ("dead", 0)
    assert "which is not public, so nothing was sent" in row.error


def test_a_name_that_is_public_when_it_is_checked_and_inner_a_moment_later_is_not_looked_up_again(
    manager: EventsManager, partner: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolver = Resolver("rebind.example", ["192.0.2.1"], ["127.0.0.1"])
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    job = webhook(f"https://rebind.example:{partner.port}/", secret=SECRET, timeout=0.3, networks=["192.0.2.0/24"])

    row = post_one(manager, job)

    assert (row.state, partner.connects, resolver.asked) == ("dead", 0, 1) and "gave no answer" in row.error
    work_again(manager, row)
    assert (partner.connects, resolver.asked) == (0, 2)


def work_again(manager: EventsManager, row: Any) -> None:
    assert manager.retry(row.id) == 1
    work(manager)


def test_a_name_is_verified_by_its_certificate_though_the_connection_goes_to_an_address(
    manager: EventsManager, trusted: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", Resolver("partner.example", ["127.0.0.1"]))
    with serving(Partner(trusted.certificate("partner.example"))) as server:
        job = webhook(f"https://partner.example:{server.port}/", secret=SECRET, networks=LOOPBACK)

        assert post_one(manager, job).state == "done"

        assert server.received[0][1]["Host"] == f"partner.example:{server.port}"


def test_the_next_address_is_tried_where_the_first_does_not_answer(
    manager: EventsManager, trusted: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", Resolver("partner.example", ["127.0.0.2", "127.0.0.1"]))
    with serving(Partner(trusted.certificate("partner.example"))) as server:
        job = webhook(f"https://partner.example:{server.port}/", secret=SECRET, networks=LOOPBACK)

        assert post_one(manager, job).state == "done"


def drip_headers(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while True:
        handler.wfile.write(b"x")
        time.sleep(0.02)


def drip_continue(handler: Handler) -> None:
    while True:
        handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.001)


def flood_headers(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(10**9):
        handler.wfile.write(b"X-%d: %s\r\n" % (number, b"x" * 4000))


def say_no_http(handler: Handler) -> None:
    handler.wfile.write(b"220 mail.example ESMTP\r\n" * 10)


def say_nothing(handler: Handler) -> None:
    handler.rfile.read(1)


@pytest.mark.parametrize(
    ("answer", "timeout", "said"),
    [
        (drip_headers, 0.5, "TimeoutError"),
        (drip_continue, 0.5, "TimeoutError|AnswerTooLong"),
        (flood_headers, 30, "AnswerTooLong|got more than 100 headers"),
        (say_no_http, 30, "BadStatusLine"),
        (say_nothing, 0.5, "TimeoutError"),
    ],
)
def test_an_answer_that_comes_slowly_or_without_end_or_not_at_all_is_a_failure(
    manager: EventsManager, partner: Partner, answer: Callable[[Handler], None], timeout: float, said: str
) -> None:
    partner.answer = answer

    row = post_one(manager, to(partner, timeout=timeout))

    assert row.state == "dead" and re.search(said, row.error.splitlines()[0])


@pytest.mark.parametrize(("status", "state"), [(200, "done"), (500, "dead")])
def test_of_an_answer_of_ten_gigabytes_next_to_nothing_is_read(
    manager: EventsManager, partner: Partner, status: int, state: str
) -> None:
    sent = []

    def flood(handler: Handler) -> None:
        handler.wfile.write(b"HTTP/1.1 %d X\r\nContent-Length: 10000000000\r\n\r\n" % status)
        for _ in range(10**5):
            sent.append(handler.wfile.write(b"x" * 100_000))

    partner.answer = flood
    row = post_one(manager, to(partner))

    assert row.state == state and len(row.error or "") < 10_000
    until = time.monotonic() + 20
    while not partner.hung_up:
        assert time.monotonic() < until
        time.sleep(0.01)
    assert sum(sent) < 50_000_000


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("120", 120), ("in 600 s", 600), ("9" * 30, 3600)],
    ids=["seconds", "a date", "ages"],
)
def test_what_retry_after_asks_for_is_waited_up_to_an_hour(
    manager: EventsManager, partner: Partner, value: str, seconds: int
) -> None:
    if value.startswith("in"):
        value = formatdate(time.time() + seconds, usegmt=True)
    partner.answer = lambda handler: handler.reply(429, Retry_After=value)

    row = post_one(manager, to(partner), Retry(wait=0))

    assert (row.state, row.attempt) == ("pending", 1)
    assert seconds - 60 < row.due_at - time.time() < seconds + 60


@pytest.mark.parametrize("value", ["soon", "-5", "", "1.5", "Sat, 01 Jan 2000 00:00:00 GMT", "٣"])
def test_a_retry_after_that_says_nothing_leaves_the_rule_of_the_registration(
    manager: EventsManager, partner: Partner, value: str
) -> None:
    partner.answer = lambda handler: handler.reply(503, Retry_After=value.encode().decode("latin-1"))

    row = post_one(manager, to(partner), Retry(max_attempts=2, wait=0))

    assert (row.state, row.attempt) == ("dead", 2)


def test_410_disables_the_url_and_what_is_fired_later_is_not_posted_until_it_is_enabled(
    durable_manager: EventsManager, partner: Partner, caplog: pytest.LogCaptureFixture
) -> None:
    job = to(partner)
    partner.answer = lambda handler: handler.reply(410, b"moved away")

    first = post_one(durable_manager, job, Retry(wait=0))
    durable_manager.fire(Event(PAID))
    work(durable_manager)

    assert (first.state, first.attempt, len(partner.received)) == ("dead", 1, 1)
    second = queued(durable_manager)[-1]
    assert (second.state, second.attempt) == ("dead", 1) and "is disabled, as it answered 410 Gone" in second.error
    told = [record for record in caplog.records if getattr(record, "action", None) == "webhook_disabled"]
    assert [record.levelno for record in told] == [logging.ERROR]
    assert told[0].job == path_of(job) == first.job  # type: ignore[attr-defined]  # an extra
    assert f"flask events webhook enable {job.__name__}" in told[0].getMessage() and job.url not in told[0].getMessage()

    [listed] = printed_json(durable_manager, "webhook", "list")
    assert (listed["webhook"], listed["url"], listed["events"]) == (job.__name__, job.url, [PAID])
    assert listed["disabled"] and listed["answered"] == "410 Gone: moved away"
    assert "webhooks" in printed(durable_manager, "doctor") and "1 disabled by 410 Gone" in printed(
        durable_manager, "doctor"
    )

    partner.answer = lambda handler: handler.reply(200)
    assert "is enabled." in printed(durable_manager, "webhook", "enable", job.__name__)
    assert "was not disabled" in printed(durable_manager, "webhook", "enable", job.url)
    printed(durable_manager, "retry", "--all-dead", "--job", job.__name__, "--yes")
    work(durable_manager)
    assert [row.state for row in queued(durable_manager)] == ["done", "done"]
    assert printed_json(durable_manager, "webhook", "list")[0]["disabled"] is None


def test_webhooks_of_other_buses_are_not_disabled(manager: EventsManager, partner: Partner) -> None:
    partner.answer = lambda handler: handler.reply(410)
    post_one(manager, to(partner))
    app = Flask("other", instance_path=str(manager.app.instance_path))
    app.config.update(CONDOR_DATABASE_URL=manager.config.database_url, CONDOR_BUS="other")
    Condor(app)
    other: EventsManager = app.extensions["condor"]
    partner.answer = lambda handler: handler.reply(200)

    other.register(PAID, to(partner), run="queued")
    other.fire(Event(PAID))
    work(other)

    assert len(partner.received) == 2
    other.log.engine.dispose()


def test_an_unknown_webhook_cannot_be_enabled(manager: EventsManager) -> None:
    manager.register(PAID, run="queued")

    assert "is no webhook of this app" in refusal(manager, "webhook", "enable", "tulip")
    assert printed(manager, "webhook", "list") == "No webhook is registered.\n"


def test_a_webhook_is_found_by_a_name_that_is_stable_unique_per_url_and_holds_neither_secret_nor_path() -> None:
    one = webhook("https://hooks.example/services/T0KEN", secret=SECRET)
    same = webhook("https://HOOKS.example:443/services/T0KEN", secret="whsec_" + base64.b64encode(b"y" * 32).decode())
    other = webhook("https://hooks.example/services/OTHER", secret=SECRET)

    assert one.__name__ == same.__name__ == "webhook-hooks.example-7ab352235ca4" != other.__name__
    assert SECRET not in repr(vars(one)["__qualname__"]) and SECRET not in repr(one) and "T0KEN" not in repr(one)


def test_two_webhooks_of_one_event_are_each_delivered_and_one_twice_is_refused(
    manager: EventsManager, partner: Partner
) -> None:
    manager.register(PAID, to(partner, "/a"), to(partner, "/b"), run="queued")
    manager.register("order.sent", to(partner, "/a"), run="queued")

    with pytest.raises(JobRegisteredTwice, match=r"job webhook-localhost-\w+ is already registered for event"):
        manager.register(PAID, to(partner, "/a", timeout=5), run="queued")
    manager.fire(Event(PAID))
    work(manager)

    assert sorted(path for path, _, _ in partner.received) == ["/a", "/b"]


@pytest.mark.parametrize("run", ["now", "after_response", "after_commit"])
def test_another_run_word_than_queued_is_refused(manager: EventsManager, run: Any) -> None:
    with pytest.raises(RunInvalid, match=f"write run='queued', not '{run}'"):
        manager.register(PAID, webhook("https://partner.example/", secret=SECRET), run=run)

    assert not manager.registry.knows(PAID)


def test_a_webhook_that_is_connected_to_a_signal_by_hand_sends_nothing(
    manager: EventsManager, partner: Partner
) -> None:
    manager.register(PAID)
    job = to(partner)
    manager.signal(PAID).connect(job)

    with pytest.raises(ExceptionGroup, match="runs in a worker only"):
        manager.fire(Event(PAID))

    assert partner.connects == 0


@pytest.mark.parametrize("secret", [None, "", "whsec_", "whsec_dHVsaXA=", "whsec_tulip!", b"whsec_", "x" * 200])
def test_a_secret_that_is_none_is_refused_and_not_shown(secret: Any) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        webhook("https://partner.example/hooks", secret=secret)

    said = str(refused.value)
    assert said.startswith("the argument secret of webhook(partner.example) is ") and "tulip" not in said
    assert "app.config" not in said


@pytest.mark.parametrize("timeout", [0, -1, 301, float("nan"), float("inf"), True, "10"])
def test_a_timeout_that_is_none_is_refused(timeout: Any) -> None:
    with pytest.raises(RuleInvalid, match="expected seconds above 0, up to 300"):
        webhook("https://partner.example/hooks", secret=SECRET, timeout=timeout)


def test_a_url_that_is_none_is_refused_where_the_webhook_is_made() -> None:
    with pytest.raises(UrlInvalid, match="only https"):
        webhook("http://partner.example/hooks", secret=SECRET)


@pytest.mark.parametrize("id", ["a" * 255, "Bestellung-ü", "two\nlines", " padded ", "x\r\nX-Evil: 1"])
def test_an_event_with_any_id_is_posted_and_its_id_cannot_add_a_header(
    manager: EventsManager, partner: Partner, id: str
) -> None:
    manager.register(PAID, to(partner), run="queued", retry=ONCE)
    manager.fire(Event(PAID, None, id))

    work(manager)

    [(_, headers, body)] = partner.received
    assert json.loads(body)["id"] == id and "X-Evil" not in headers
    Verifier(SECRET).verify(body, {name.lower(): value for name, value in headers.items()})


APP = """
import os
from flask import Flask
from flask_condor import Condor, resolve_events_manager
from flask_condor.webhook import webhook

def register_events():
    job = webhook(os.environ["HOOK"], secret=os.environ["SECRET"], networks=["127.0.0.0/8", "::1/128"])
    resolve_events_manager().register("order.paid", job, run="queued")

def create_app():
    app = Flask("shop", instance_path=os.environ["INSTANCE"])
    Condor(app, register_events=register_events)
    return app
"""


def test_a_worker_in_another_process_finds_the_webhook_and_its_log_holds_no_secret(
    partner: Partner, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(APP)
    environment = os.environ | {
        "HOOK": f"https://localhost:{partner.port}/hooks?key=T0KEN",
        "SECRET": SECRET,
        "INSTANCE": str(tmp_path),
    }

    def flask(*args: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "flask", "events", *args]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)

    assert flask("fire", "order.paid", '{"order": 7}').returncode == 0
    worked = flask("worker", "--once")
    seen = [worked, flask("list"), flask("explain", "order.paid"), flask("check"), flask("log"), flask("doctor")]

    assert "1 run: 1 done" in worked.stderr and len(partner.received) == 1
    for done in seen:
        assert done.returncode == 0, done.stderr
        assert SECRET not in done.stdout + done.stderr and "T0KEN" not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
    assert "flask_condor.webhook:webhook-localhost-" in seen[2].stdout


PAGE = (Path(__file__).parent.parent / "docs" / "how-to" / "send-webhooks.md").read_text()


def test_the_code_of_the_how_to_runs_and_its_example_of_what_is_posted_has_the_headers_and_keys_that_are(
    manager: EventsManager, partner: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARTNER_SECRET", SECRET)
    first, *others = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    namespace: dict[str, Any] = {"SECRET": SECRET}
    exec(first, namespace)
    for other in others:
        exec(other, namespace)
    with manager.app.app_context():
        namespace["register_events"]()
    post_one(manager, to(partner))

    [job, _] = manager.registry.jobs_of(PAID)
    [(_, headers, body)] = partner.received
    assert (job.path, job.run) == (path_of(webhook("https://partner.example/hooks", secret=SECRET)), "queued")
    example = PAGE.partition("POST /hooks")[2].partition("## ")[0]
    shown = re.findall(r"^    ([A-Za-z-]+): ", example, re.M)
    assert shown == [name for name in headers if name in shown] and "webhook-signature" in shown
    keys = json.loads(example[example.index("{") : example.rindex("}\n") + 1])
    assert keys.keys() == json.loads(body).keys()
