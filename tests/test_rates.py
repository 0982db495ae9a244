"""The rates table: what is counted, in which rows, and what is read from them."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from flask_condor.database import open_database
from flask_condor.models import deliveries
from flask_condor.models import events
from flask_condor.models import rates
from flask_condor.rates import HOUR
from flask_condor.rates import MINUTE
from flask_condor.rates import Finished
from flask_condor.rates import Outcome
from flask_condor.rates import Total
from flask_condor.rates import Width
from flask_condor.rates import add_runs
from flask_condor.rates import bucket_of
from flask_condor.rates import durations
from flask_condor.rates import percentiles
from flask_condor.rates import prune_rates
from flask_condor.rates import rebuild
from flask_condor.rates import totals
from flask_condor.schema import ensure_schema
from sqlalchemy import delete
from sqlalchemy import event
from sqlalchemy import func
from sqlalchemy import insert
from sqlalchemy import make_url
from sqlalchemy import select
from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.engine import Engine

NOON = 43_200.0
DAY = 24 * 3600


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = open_database(make_url(database_url))
    with engine.begin() as connection:
        ensure_schema(connection)
    yield engine
    engine.dispose()


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.begin() as connection:
        yield connection


def run(at: float, seconds: float = 0.01, *, job: str = "jobs:a", outcome: Outcome = "done") -> Finished:
    return Finished("x", job, outcome, at, seconds)


def starts(connection: Connection, width: Width) -> list[int]:
    """Return when each minute or hour began of which anything is counted."""
    return list(connection.scalars(select(rates.c.start).where(rates.c.width == width).order_by(rates.c.start)))


def test_a_run_is_counted_in_its_minute_and_in_its_hour(connection: Connection) -> None:
    add_runs(connection, [run(NOON + 61.5, 0.25)])

    rows = connection.execute(select(rates).order_by(rates.c.width)).all()
    bucket = bucket_of(0.25)
    assert [tuple(row) for row in rows] == [
        ("default", 60, 43_260, "x", "jobs:a", "done", bucket, 1, 0.25),
        ("default", 3600, 43_200, "x", "jobs:a", "done", bucket, 1, 0.25),
    ]


def test_runs_add_up_within_a_transaction_and_over_several(engine: Engine) -> None:
    for _ in range(3):
        with engine.begin() as connection:
            add_runs(connection, [run(NOON, 0.5), run(NOON + 1, 0.5), run(NOON, 2, outcome="dead")])
            add_runs(connection, [])

    with engine.begin() as connection:
        assert totals(connection, NOON) == [
            Total("x", "jobs:a", "dead", 3, 6.0),
            Total("x", "jobs:a", "done", 6, 3.0),
        ]


def test_what_is_rolled_back_is_not_counted(engine: Engine) -> None:
    with pytest.raises(ZeroDivisionError), engine.begin() as connection:
        add_runs(connection, [run(NOON)])
        raise ZeroDivisionError

    with engine.begin() as connection:
        assert totals(connection, 0) == []


def test_a_run_that_took_less_than_no_time_counts_as_one_of_no_time(connection: Connection) -> None:
    add_runs(connection, [run(NOON, -3.0)])

    assert totals(connection, 0) == [Total("x", "jobs:a", "done", 1, 0.0)]


def test_two_workers_that_count_the_same_jobs_do_not_wait_for_one_another_in_a_circle(engine: Engine) -> None:
    runs = [run(NOON + minute * 60, 0.01 * 2**job, job=f"jobs:{job}") for minute in range(5) for job in range(20)]
    failures: list[BaseException] = []

    def count(seed: int) -> None:
        shuffled = random.Random(seed)
        try:
            for _ in range(20):
                with engine.begin() as connection:
                    add_runs(connection, shuffled.sample(runs, len(runs)))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=count, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    with engine.begin() as connection:
        assert connection.scalar(select(func.sum(rates.c.runs)).where(rates.c.width == HOUR)) == 4 * 20 * 100


@pytest.mark.parametrize("share", [0.01, 0.5, 0.95, 0.99, 1.0])
@pytest.mark.parametrize("typical", [2e-6, 0.003, 1.0, 400.0])
def test_percentiles_are_right_within_10_percent(share: float, typical: float) -> None:
    seeded = random.Random(int(share * 100))
    seconds = sorted(typical * seeded.lognormvariate(2, 1) for _ in range(997))
    buckets: dict[int, int] = {}
    for duration in seconds:
        buckets[bucket_of(duration)] = buckets.get(bucket_of(duration), 0) + 1

    [found] = percentiles(buckets, [share])

    assert found == pytest.approx(seconds[max(1, -int(-share * 997 // 1)) - 1], rel=0.1)


def test_percentiles_are_read_per_job_and_leave_out_lost_runs(connection: Connection) -> None:
    add_runs(connection, [run(NOON, 0.1)] * 99 + [run(NOON, 9.0)])
    add_runs(connection, [run(NOON, 50.0, outcome="lost"), run(NOON, 1.0, job="jobs:b", outcome="failed")])

    found = {job: percentiles(buckets, (0.5, 0.99, 1)) for job, buckets in durations(connection, NOON).items()}

    assert found == {
        ("x", "jobs:a"): pytest.approx((0.1, 0.1, 9.0), rel=0.1),
        ("x", "jobs:b"): pytest.approx((1.0, 1.0, 1.0), rel=0.1),
    }


def test_a_time_is_read_by_whole_minutes_or_hours(connection: Connection) -> None:
    add_runs(connection, [run(NOON + second, 1.0) for second in (0, 59, 60, 119, 120, 3600)])

    assert totals(connection, NOON + 30, NOON + 120, width=MINUTE) == [Total("x", "jobs:a", "done", 4, 4.0)]
    assert totals(connection, NOON + 30) == [Total("x", "jobs:a", "done", 6, 6.0)]
    assert totals(connection, NOON + 60, NOON + 3600, width=MINUTE) == [Total("x", "jobs:a", "done", 3, 3.0)]


def test_old_minutes_are_pruned_after_2_days_and_hours_when_told(connection: Connection) -> None:
    now = 100 * DAY
    add_runs(connection, [run(now - days * DAY) for days in (1, 3, 29, 31)])

    assert prune_rates(connection, now, 30 * DAY) == 3 + 1

    assert starts(connection, MINUTE) == [now - DAY]
    assert starts(connection, HOUR) == [now - days * DAY for days in (29, 3, 1)]


@contextmanager
def delivered(connection: Connection, name: str = "x") -> Iterator[list[dict[str, object]]]:
    """Write an event, and the deliveries of it that the block appends."""
    root = {"id": name, "name": name, "payload": "1", "is_replayable": True, "is_orphan": False, "source": "app"}
    connection.execute(insert(events).values(**root, fired_at=0.0, root_id=name, path="[]", bus="default"))
    given: list[dict[str, object]] = []
    yield given
    same = {
        "event_id": name,
        "run": "queued",
        "queue": "default",
        "priority": 0,
        "due_at": 0.0,
        "losses": 0,
        "bus": "default",
    }
    connection.execute(insert(deliveries), [same | {"started_at": None, "finished_at": None} | one for one in given])


def delivery(state: str, at: float | None, seconds: float = 0.25, job: str = "jobs:a") -> dict[str, object]:
    started = None if at is None else at - seconds
    return {"job": job, "state": state, "attempt": 1, "started_at": started, "finished_at": at}


def test_rebuilt_rates_are_those_of_the_deliveries(connection: Connection) -> None:
    with delivered(connection) as given:
        given += [delivery("done", NOON + minute * 60.0, 0.25) for minute in range(90)]
        given += [delivery("dead", NOON, 2.0, "jobs:b"), delivery("pending", None), delivery("running", None)]
    runs = [run(NOON + minute * 60.0, 0.25) for minute in range(90)] + [run(NOON, 2.0, job="jobs:b", outcome="dead")]
    add_runs(connection, runs)
    exact = set(connection.execute(select(rates)).all())
    connection.execute(delete(rates))
    add_runs(connection, [run(NOON + 7, 5.0), run(NOON + 8, 5.0, outcome="dead")])

    assert rebuild(connection, NOON + DAY) == 91

    assert set(connection.execute(select(rates)).all()) == exact


def test_rebuilding_leaves_what_no_delivery_keeps(connection: Connection) -> None:
    with delivered(connection) as given:
        given += [delivery("done", NOON), delivery("cancelled", NOON)]
    kept = [
        run(NOON - DAY),
        run(NOON, outcome="failed"),
        run(NOON, outcome="lost"),
        run(NOON + HOUR, outcome="dead"),
    ]
    add_runs(connection, kept)

    rebuild(connection, NOON + DAY)

    outcomes = [(total.outcome, total.runs) for total in totals(connection, NOON - DAY)]
    assert outcomes == [("dead", 1), ("done", 2), ("failed", 1), ("lost", 1)]


def test_rebuilding_makes_no_minutes_that_would_be_pruned(connection: Connection) -> None:
    with delivered(connection) as given:
        given += [delivery("done", NOON), delivery("done", NOON + 9 * DAY)]

    rebuild(connection, NOON + 10 * DAY)

    assert starts(connection, MINUTE) == [NOON + 9 * DAY]
    assert len(starts(connection, HOUR)) == 2


def test_a_log_without_deliveries_is_rebuilt_to_nothing(connection: Connection) -> None:
    assert rebuild(connection, NOON) == 0


def test_runs_that_end_while_the_rates_are_rebuilt_are_counted_once(engine: Engine) -> None:
    with engine.begin() as connection, delivered(connection) as given:
        given.append(delivery("done", NOON))

    def finish() -> None:
        with engine.begin() as connection:
            with delivered(connection, "y") as given:
                given.append(delivery("done", NOON))
            add_runs(connection, [Finished("y", "jobs:a", "done", NOON, 0.25)])

    finishing = threading.Thread(target=finish)

    def interfere(_: object, __: object, statement: str, *___: object) -> None:
        if "JOIN condor_events" in statement and finishing.ident is None:
            finishing.start()
            wait_until_it_ends_or_waits(finishing, engine)

    with engine.begin() as connection:
        event.listen(connection, "before_cursor_execute", interfere)
        rebuild(connection, NOON + DAY)
    finishing.join()

    with engine.begin() as connection:
        assert connection.scalar(select(func.sum(rates.c.runs)).where(rates.c.width == HOUR)) == 2


def wait_until_it_ends_or_waits(thread: threading.Thread, engine: Engine) -> None:
    """Wait until the transaction of *thread* is over or waits for a lock; on SQLite it waits from its BEGIN on."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    while engine.dialect.name == "postgresql" and thread.is_alive():
        with engine.connect() as connection:
            if connection.scalar(text(waiting)):
                return
        time.sleep(0.01)
