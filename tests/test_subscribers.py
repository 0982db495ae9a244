"""``CONDOR_SUBSCRIBERS``: registrations in configuration; what names no job, or has another shape, is refused."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_condor import Condor
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor import resolve_events_manager
from flask_condor.errors import JobRegisteredTwice
from flask_condor.faults import PayloadInvalid
from flask_condor.job import Job
from flask_condor.plan import Plan
from flask_condor.retry import Retry
from flask_condor.subscribers import SubscriberInvalid
from flask_condor.worker import Worker

from events.jobs.send_welcome_email import send_welcome_email
from events.jobs.write_audit_entry import write_audit_entry
from tests.databases import queued

WELCOME = "send-welcome-email"
EVENT_NAMES = """
from dataclasses import dataclass
from flask_condor import EventName

@dataclass
class Shipment:
    weight: int

SHIPPED = EventName("shipped", Shipment)
"""


def manager_of(folder: Path, subscribers: object, **options: Any) -> EventsManager:
    app = Flask("test", instance_path=str(folder))
    app.config["CONDOR_SUBSCRIBERS"] = subscribers
    Condor(app, **options)
    manager: EventsManager = app.extensions["condor"]
    return manager


def jobs_of(manager: EventsManager, name: str) -> list[Job]:
    return list(manager.registry.jobs_of(name))


def test_the_job_in_the_file_of_that_name_is_queued_for_each_event(tmp_path: Path) -> None:
    manager = manager_of(tmp_path, {WELCOME: {"events": ["user.registered", "user.verified"]}})

    for name in ("user.registered", "user.verified"):
        (job,) = jobs_of(manager, name)
        assert (job.function, job.run, job.where) == (
            send_welcome_email,
            "queued",
            "CONDOR_SUBSCRIBERS['send-welcome-email']",
        )
    assert manager.queueing.is_needed


def test_an_entry_gives_the_words_of_register_and_toml_can_hold_them_all(tmp_path: Path) -> None:
    subscribers = tomllib.loads("""
        [send-welcome-email]
        events = ["user.registered"]
        queue = "mail"
        priority = 5
        timeout = 30
        at_most_once = true
        retry = {max_attempts = 3, backoff = "constant", jitter = false, wait = 1}
        [write-audit-entry]
        events = ["user.registered"]
        run = "now"
    """)

    welcome, audit = jobs_of(manager_of(tmp_path, subscribers), "user.registered")

    assert (welcome.rules.queue, welcome.rules.priority, welcome.rules.timeout) == ("mail", 5, 30)
    assert welcome.rules.at_most_once
    assert welcome.rules.retry == Retry(max_attempts=3, backoff="constant", jitter=False, wait=1)
    assert (audit.function, audit.run) == (write_audit_entry, "now")


def test_they_come_after_those_of_register_events_in_the_order_written(tmp_path: Path) -> None:
    def register_events() -> None:
        resolve_events_manager().register("user.registered", write_audit_entry)

    entries = {WELCOME: {"events": ["user.registered"]}, "process-upload": {"events": ["user.registered"]}}
    manager = manager_of(tmp_path, entries, register_events=register_events)

    names = [job.path.rpartition(":")[2] for job in jobs_of(manager, "user.registered")]
    assert names == ["write_audit_entry", "send_welcome_email", "process_upload"]


def test_an_app_without_them_and_one_with_none_need_no_event_log(tmp_path: Path) -> None:
    assert not manager_of(tmp_path, {}).queueing.is_needed
    assert not manager_of(tmp_path, {WELCOME: {"events": ["user.registered"], "run": "now"}}).queueing.is_needed


def test_a_job_bound_in_both_places_with_the_same_run_word_is_refused_naming_both(tmp_path: Path) -> None:
    def register_events() -> None:
        resolve_events_manager().register("user.registered", send_welcome_email, run="queued")

    told = r"first at .*test_subscribers\.py:\d+, again at CONDOR_SUBSCRIBERS\['send-welcome-email'\]\."
    with pytest.raises(JobRegisteredTwice, match=told):
        manager_of(tmp_path, {WELCOME: {"events": ["user.registered"]}}, register_events=register_events)


def test_a_schedule_of_an_event_that_only_configuration_registers_is_right(tmp_path: Path) -> None:
    def register_events() -> None:
        resolve_events_manager().schedule("report-due", "0 9 * * *")

    manager_of(tmp_path, {WELCOME: {"events": ["report-due"]}}, register_events=register_events)


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({}, r": Object missing required field `events`\. Write a table such as \{'events': \['user.registered'\]\}"),
        (["user.registered"], r": Expected `object`, got `array`\. Write a table such as "),
        ({"events": "user.registered"}, r"\.events: Expected `array`, got `str`\. Write a list of one or more event"),
        ({"events": []}, r"\.events: Expected `array` of length >= 1\. Write a list of one or more event names"),
        ({"events": ["a", "b", "a"]}, r": event 'a' stands there twice, and the job would run twice: remove one\.$"),
        ({"events": ["a", 7]}, r"\.events\[1\]: Expected `str`, got `int`\. Write a list"),
        ({"events": [""]}, ": event name is empty"),
        ({"events": ["x" * 256]}, ": an event's name has at most 255 characters"),
        ({"events": ["a"], "evnts": []}, r": Object contains unknown field `evnts`\. Write .* with any of run, retry"),
        ({"events": ["a"], "run": "later"}, r"\.run: Invalid enum value 'later'\. Write 'now' or .* or 'queued'\."),
        ({"events": ["a"], "priority": "high"}, r"\.priority: Expected `int`, got `str`\."),
        ({"events": ["a"], "priority": True}, r"\.priority: Expected `int`, got `bool`\."),
        ({"events": ["a"], "timeout": 0}, r": timeout=0.0: expected seconds above 0"),
        ({"events": ["a"], "queue": "a b"}, r": queue='a b': expected 1 to 64 letters"),
        ({"events": ["a"], "retry": 3}, r"\.retry: Expected `object`, got `int`\. Write a table with any of max_att"),
        ({"events": ["a"], "retry": {"max_attempts": "3"}}, r"\.retry\.max_attempts: Expected `int`, got `str`\."),
        ({"events": ["a"], "retry": {"max_attempts": 0}}, r"\.retry: Retry\(max_attempts=0\): expected a whole num"),
        ({"events": ["a"], "retry": {"attempts": 3}}, r"\.retry: Object contains unknown field `attempts`\. Write"),
        ({"events": ["a"], "retry": {"backoff": "no"}}, r"\.retry\.backoff: Invalid .*\. Write 'exponential' or 'co"),
    ],
)
def test_a_wrong_entry_is_refused_with_the_path_of_what_is_wrong_and_what_is_expected(
    entry: object, told: str, tmp_path: Path
) -> None:
    with pytest.raises(SubscriberInvalid, match=rf"^CONDOR_SUBSCRIBERS\['send-welcome-email'\]{told}"):
        manager_of(tmp_path, {WELCOME: entry})


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("send-wellcome-email", r"no job file events/jobs/send_wellcome_email\.py\. Did you mean 'send-welcome-email'"),
        ("events.jobs.mail", r"no job file events/jobs/events\.jobs\.mail\.py\. There are process-upload, send-"),
        ("../mail", r"no job file events/jobs/\.\./mail\.py"),
        ("", "no job file of that name"),
        (7, "no job file of that name"),
    ],
)
def test_a_key_that_is_no_job_file_is_refused_with_the_nearest_one(key: object, told: str, tmp_path: Path) -> None:
    with pytest.raises(SubscriberInvalid, match=told) as refused:
        manager_of(tmp_path, {key: {"events": ["user.registered"]}})

    assert str(refused.value).startswith(f"CONDOR_SUBSCRIBERS[{key!r}]: there is ")


@pytest.mark.parametrize("subscribers", [None, [WELCOME], WELCOME])
def test_what_is_no_table_at_all_is_refused(subscribers: object, tmp_path: Path) -> None:
    with pytest.raises(SubscriberInvalid, match="CONDOR_SUBSCRIBERS is .*: expected a table such as"):
        manager_of(tmp_path, subscribers)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Flask:
    """An app whose jobs are beside it, in a package that no other test has."""
    package = f"shop_of_{tmp_path.name}"
    jobs = tmp_path / package / "events" / "jobs"
    jobs.mkdir(parents=True)
    (tmp_path / package / "__init__.py").write_text("")
    (jobs / "send_bill.py").write_text("def send_bill(event, ctx): event.payload.append(1)\n")
    (jobs / "tell_type.py").write_text("def tell_type(event, ctx): return type(event.payload).__name__\n")
    (jobs.parent / "event_names.py").write_text(EVENT_NAMES)
    (jobs / "misnamed.py").write_text("def other(event, ctx): pass\n")
    (jobs / "broken.py").write_text("import no_such_module_at_all\n")
    (jobs / "no_job.py").write_text("def no_job(): pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    __import__(package)
    return Flask(package, instance_path=str(tmp_path))


def test_the_jobs_of_an_app_that_is_a_package_are_beside_it(shop: Flask) -> None:
    shop.config["CONDOR_SUBSCRIBERS"] = {"send-bill": {"events": ["ordered"], "run": "now"}}
    Condor(shop)
    bills: list[int] = []

    shop.extensions["condor"].fire(Event("ordered", bills))

    assert bills == [1]


def test_a_queued_job_gets_the_type_that_the_constant_of_the_event_names(shop: Flask) -> None:
    shop.config["CONDOR_SUBSCRIBERS"] = {"tell-type": {"events": ["shipped", "lost"]}}
    Condor(shop)
    manager: EventsManager = shop.extensions["condor"]

    for name in ("shipped", "lost"):
        manager.emit(name, {"weight": 7})
    worker = Worker(manager, Plan(once=True, replaceable=False))
    worker.open()
    worker.run()

    assert [json.loads(delivery.result) for delivery in queued(manager)] == ["Shipment", "dict"]
    with pytest.raises(PayloadInvalid, match="weight"):
        manager.emit("shipped", {"weight": "seven"})
    manager.log.engine.dispose()


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("misnamed", r"events/jobs/misnamed\.py has no function misnamed\. Define `def misnamed\(event, ctx\)` there"),
        ("no-job", r"CONDOR_SUBSCRIBERS\['no-job'\]: job no_job cannot be called as job\(event, ctx=ctx\)"),
        ("send-bil", "Did you mean 'send-bill'"),
    ],
)
def test_a_job_file_without_its_job_is_refused(key: str, told: str, shop: Flask) -> None:
    shop.config["CONDOR_SUBSCRIBERS"] = {key: {"events": ["ordered"]}}

    with pytest.raises(SubscriberInvalid, match=told):
        Condor(shop)


def test_a_job_file_that_cannot_be_imported_raises_what_python_says(shop: Flask) -> None:
    shop.config["CONDOR_SUBSCRIBERS"] = {"broken": {"events": ["ordered"]}}

    with pytest.raises(ModuleNotFoundError, match="no_such_module_at_all"):
        Condor(shop)
