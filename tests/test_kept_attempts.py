"""Each attempt that did not succeed is kept, and counted with those like it, in the transaction of its outcome."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable
from typing import Any

import pytest
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor import JobsFailed
from flask_condor.attempt import Attempts
from flask_condor.claims import Wish
from flask_condor.claims import claim
from flask_condor.deliveries import finish
from flask_condor.deliveries import reap
from flask_condor.failures import COUNTS_KEPT
from flask_condor.failures import Failed
from flask_condor.failures import add_failures
from flask_condor.failures import prune_failures
from flask_condor.lanes import find_lanes
from flask_condor.log import clock
from flask_condor.models import attempts
from flask_condor.models import deliveries
from flask_condor.models import failure_counts
from flask_condor.models import failures
from flask_condor.prune import Prune
from flask_condor.prune import Retention
from flask_condor.retry import Retry
from flask_condor.storable import Failure
from flask_condor.storable import describe_error
from flask_condor.top_frame import is_own
from sqlalchemy import event as sql_event
from sqlalchemy import func
from sqlalchemy import select
from sqlalchemy import update
from sqlalchemy.engine import Row

HERE = "tests.test_kept_attempts"


class NoSuchAddress(Exception):
    pass


def look_up(address: str) -> None:
    raise NoSuchAddress(address)


def mail(event: Event[Any], ctx: Context) -> None:
    if event.payload == "bad json":
        json.loads("{")
    if event.payload != "good":
        look_up(str(event.payload))


def other(event: Event[Any], ctx: Context) -> None:
    look_up("other")


@pytest.fixture
def manager(durable_manager: EventsManager) -> EventsManager:
    durable_manager.register("signed-up", mail, run="queued", retry=Retry(max_attempts=2, wait=0, jitter=False))
    return durable_manager


def work(manager: EventsManager, *, lose: bool = False) -> None:
    """Claim what is due and run it; or lose it."""
    known = Attempts(manager, replaceable=False)
    with manager.log.begin() as connection:
        wish = Wish(worker="w1", count=100, lanes=find_lanes(connection), pairs=known.pairs, is_idle=True)
        caught = claim(connection, wish)
        if lose:
            connection.execute(update(deliveries).values(lease_until=1.0))
            reap(connection, known)
            return
    with manager.app.app_context():
        outcomes = [known.run(one) for one in caught.claims]
    with manager.log.begin() as connection:
        finish(connection, outcomes)


def rows(manager: EventsManager, table: Any) -> list[Row[Any]]:
    with manager.log.read() as connection:
        return list(connection.execute(select(table).order_by(*table.primary_key.columns)))


def test_each_attempt_that_failed_is_kept_and_the_last_one_is_dead(manager: EventsManager) -> None:
    manager.fire(Event("signed-up", "nobody"))

    work(manager)
    work(manager)

    [delivery] = rows(manager, deliveries)
    [failure] = rows(manager, failures)
    kept = rows(manager, attempts)
    assert [(one.attempt, one.outcome, one.worker, one.delivery_id) for one in kept] == [
        (1, "failed", "w1", delivery.id),
        (2, "dead", "w1", delivery.id),
    ]
    assert all(f"{HERE}.NoSuchAddress: nobody" in one.error and one.started_at <= one.ended_at for one in kept)
    assert {one.failure_id for one in kept} == {failure.id} == {delivery.failure_id}
    assert (failure.job, failure.error_type, failure.frame, failure.runs) == (
        f"{HERE}:mail",
        f"{HERE}.NoSuchAddress",
        f"{HERE}:look_up",
        2,
    )
    assert (failure.first_seen, failure.last_seen) == (kept[0].ended_at, kept[1].ended_at)


def test_failures_are_alike_by_job_class_and_frame_whatever_their_text(manager: EventsManager) -> None:
    manager.register("signed-up", other, run="queued")
    manager.register("asked", mail, run="queued")
    for name, payload in (("signed-up", "a"), ("signed-up", "b"), ("signed-up", "bad json"), ("asked", "c")):
        manager.fire(Event(name, payload))

    work(manager)

    found = {(one.job, one.error_type, one.frame): one for one in rows(manager, failures)}
    assert {key: one.runs for key, one in found.items()} == {
        (f"{HERE}:mail", f"{HERE}.NoSuchAddress", f"{HERE}:look_up"): 3,
        (f"{HERE}:mail", "json.decoder.JSONDecodeError", f"{HERE}:mail"): 1,
        (f"{HERE}:other", f"{HERE}.NoSuchAddress", f"{HERE}:look_up"): 3,
    }
    most = found[f"{HERE}:mail", f"{HERE}.NoSuchAddress", f"{HERE}:look_up"].id
    counted = {row.name: row.runs for row in rows(manager, failure_counts) if row.failure_id == most}
    assert counted == {"signed-up": 2, "asked": 1}


def test_a_run_whose_worker_was_lost_is_an_attempt_too(manager: EventsManager) -> None:
    manager.fire(Event("signed-up", "good"))

    work(manager, lose=True)
    work(manager)

    [delivery], [kept], [failure] = (rows(manager, table) for table in (deliveries, attempts, failures))
    assert (kept.outcome, kept.attempt, kept.worker) == ("lost", 1, "w1")
    assert (failure.error_type, failure.frame) == ("WorkerLost", f"{HERE}:mail")
    assert (delivery.state, delivery.attempt, delivery.failure_id) == ("done", 2, failure.id)


def test_a_job_that_failed_in_the_request_is_recorded_like_a_queued_one(durable_manager: EventsManager) -> None:
    durable_manager.register("signed-up", mail, mail_again)

    for payload in ("nobody", "good", "nobody else"):
        try:
            durable_manager.fire(Event("signed-up", payload))
        except JobsFailed:
            assert durable_manager.queueing.recorder.flush(30)
    assert durable_manager.queueing.recorder.flush(30)

    made = rows(durable_manager, deliveries)
    kept = rows(durable_manager, attempts)
    [failure] = rows(durable_manager, failures)
    assert [run.failure_id for run in made] == [failure.id, None, None, None, failure.id, None]
    assert [(one.delivery_id, one.outcome, one.worker) for one in kept] == [
        (made[0].id, "dead", None),
        (made[4].id, "dead", None),
    ]
    assert [(one.started_at, one.ended_at) for one in kept] == [
        (run.started_at, run.finished_at) for run in made if run.failure_id
    ]
    assert failure.runs == 2


def mail_again(event: Event[Any], ctx: Context) -> None:
    pass


def test_a_retry_leaves_the_attempts_as_they_are(manager: EventsManager) -> None:
    manager.fire(Event("signed-up", "nobody"))
    work(manager)
    work(manager)

    manager.retry(rows(manager, deliveries)[0].id)
    work(manager)

    assert [(one.attempt, one.outcome) for one in rows(manager, attempts)] == [
        (1, "failed"),
        (2, "dead"),
        (1, "failed"),
    ]


def test_what_is_rolled_back_is_neither_kept_nor_counted(manager: EventsManager) -> None:
    with pytest.raises(ZeroDivisionError), manager.log.begin() as connection:
        add_failures(connection, [failed("a")])
        raise ZeroDivisionError

    assert [rows(manager, table) for table in (attempts, failures, failure_counts)] == [[], [], []]


def test_nothing_more_is_asked_of_the_database_where_nothing_failed(manager: EventsManager) -> None:
    asked: list[str] = []
    sql_event.listen(manager.log.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    manager.fire(Event("signed-up", "good"))

    work(manager)

    told = [one for one in asked if not one.startswith(("CREATE", "PRAGMA", "\nCREATE"))]
    assert any("condor_rates" in one for one in told)
    assert not [one for one in told if "condor_attempts" in one or "condor_failure" in one]


def failed(frame: str, at: float = 7200.0, *, job: str = "app:mail", delivery: int = 1) -> Failed:
    return Failed(delivery, 1, "e", job, "dead", None, at, at, Failure("ValueError", frame, "ValueError: no"))


def test_two_workers_that_count_the_same_failures_do_not_wait_for_one_another_in_a_circle(
    durable_manager: EventsManager,
) -> None:
    many = [failed(f"app:f{one}", 3600.0 * hour) for one in range(20) for hour in range(3)]
    errors: list[BaseException] = []

    def count(seed: int) -> None:
        shuffled = random.Random(seed)
        try:
            for _ in range(10):
                with durable_manager.log.begin() as connection:
                    add_failures(connection, shuffled.sample(many, len(many)))
        except BaseException as error:
            errors.append(error)

    with durable_manager.log.begin():
        pass
    threads = [threading.Thread(target=count, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    with durable_manager.log.read() as connection:
        assert connection.scalar(select(func.sum(failures.c.runs))) == 4 * 10 * 60
        assert connection.scalar(select(func.sum(failure_counts.c.runs))) == 4 * 10 * 60
        assert connection.scalar(select(func.count()).select_from(failures)) == 20


def test_attempts_go_with_their_delivery_and_a_failure_when_it_is_old_and_has_none(manager: EventsManager) -> None:
    manager.fire(Event("signed-up", "nobody"))
    work(manager)
    work(manager)
    with manager.log.begin() as connection:
        now = clock(connection)
        prune_failures(connection, now + 10, now + 10)
    assert (len(rows(manager, failures)), len(rows(manager, attempts))) == (1, 2)

    prune = Prune(Retention(now + 10, now + 10))
    while not prune.is_over:
        with manager.log.begin() as connection:
            prune.batch(connection)
    with manager.log.begin() as connection:
        prune_failures(connection, now, now - 10)
    assert (len(rows(manager, failures)), len(rows(manager, attempts))) == (1, 0)
    with manager.log.begin() as connection:
        prune_failures(connection, now, now + 10)

    assert [rows(manager, table) for table in (attempts, failures, failure_counts)] == [[], [], []]


def test_the_counts_of_hours_are_forgotten_after_90_days(manager: EventsManager) -> None:
    with manager.log.begin() as connection:
        add_failures(connection, [failed("a", 0.0), failed("a", 7200.0)])
        prune_failures(connection, COUNTS_KEPT + 3600.0, None)

    assert [row.start for row in rows(manager, failure_counts)] == [7200]


def raised(function: Callable[[], object]) -> Failure:
    try:
        function()
    except BaseException as error:
        return describe_error(error)
    raise AssertionError


def test_a_failure_is_told_by_its_class_and_the_innermost_of_the_apps_own_functions() -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise ValueError

    own, of_python = raised(lambda: look_up("x")), raised(lambda: int("x"))
    odd = raised(lambda: random.Random().sample([1], 2))
    alone = describe_error(Odd())

    assert (own.error_type, own.frame) == (f"{HERE}.NoSuchAddress", f"{HERE}:look_up")
    assert (of_python.error_type, of_python.frame.rpartition(".")[2]) == ("ValueError", "<lambda>")
    assert odd.frame.startswith(f"{HERE}:test_a_failure_is_told_by")
    assert (alone.error_type.rpartition(".")[2], alone.frame) == ("Odd", "")
    assert alone.text.startswith("Odd: ")


@pytest.mark.parametrize(
    ("path", "own"),
    [
        (__file__, True),
        ("/srv/app/events/jobs/mail.py", True),
        ("/srv/app/.venv/lib/python3.13/site-packages/requests/api.py", False),
        ("/usr/lib/python3/dist-packages/flask/app.py", False),
        ("<frozen importlib._bootstrap>", False),
        ("<string>", False),
        (threading.__file__, False),
        (describe_error.__code__.co_filename, False),
    ],
)
def test_a_file_is_the_apps_own_or_not(path: str, own: bool) -> None:
    assert is_own(path) is own
