"""The bus: two apps that share a database, and fire the same events for the same jobs, never meet."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor.claims import Wish
from flask_condor.claims import claim
from flask_condor.deliveries import reap
from flask_condor.errors import ConfigInvalid
from flask_condor.errors import EventIdTaken
from flask_condor.errors import OperationRefused
from flask_condor.gauges import Gauge
from flask_condor.gauges import add_gauge
from flask_condor.lanes import find_lanes
from flask_condor.models import audit
from flask_condor.models import deliveries
from flask_condor.models import events
from flask_condor.models import rates
from flask_condor.models import workers
from flask_condor.plan import Plan
from flask_condor.presence import Presence
from flask_condor.presence import count_due
from flask_condor.presence import sign_in
from flask_condor.presence import waiting_unseen
from flask_condor.prune import Prune
from flask_condor.prune import Retention
from flask_condor.prune import prune_trends
from flask_condor.rates import HOURS_KEPT
from flask_condor.rates import Finished
from flask_condor.rates import add_runs
from flask_condor.rates import durations
from flask_condor.rates import prune_rates
from flask_condor.rates import rebuild
from flask_condor.rates import totals
from flask_condor.retry import Retry
from flask_condor.trend_models import gauges
from flask_condor.trend_models import waits
from flask_condor.upkeep import Upkeep
from flask_condor.waits import add_waits
from flask_condor.worker import Worker
from sqlalchemy import event as on
from sqlalchemy import select
from sqlalchemy import update
from sqlalchemy.orm import Session

runs: list[tuple[str, object]] = []


def note(event: Event[Any], ctx: Context) -> None:
    runs.append((ctx.app.name, event.payload))


def fail(event: Event[Any], ctx: Context) -> None:
    raise ValueError(event.payload)


def manager_of(bus: str, database_url: str) -> EventsManager:
    app = Flask(bus)
    app.config.update(CONDOR_DATABASE_URL=database_url, CONDOR_BUS=bus)
    Condor(app)
    manager: EventsManager = app.extensions["condor"]
    manager.register("noted", note, run="queued")
    manager.register("seen", note)
    manager.register("failing", fail, run="queued", retry=Retry(max_attempts=1))
    return manager


@pytest.fixture
def shop(database_url: str) -> Iterator[EventsManager]:
    runs.clear()
    manager = manager_of("shop", database_url)
    yield manager
    manager.log.engine.dispose()


@pytest.fixture
def blog(database_url: str) -> Iterator[EventsManager]:
    manager = manager_of("blog", database_url)
    yield manager
    manager.log.engine.dispose()


def work(manager: EventsManager) -> None:
    worker = Worker(manager, Plan(once=True, replaceable=False))
    worker.open()
    worker.run()


def buses_in(manager: EventsManager, table: Any) -> list[str]:
    with manager.log.read() as connection:
        return sorted(connection.scalars(select(table.c.bus)))


def states(manager: EventsManager) -> list[tuple[str, str]]:
    with manager.log.read() as connection:
        found = connection.execute(select(deliveries.c.bus, deliveries.c.state).order_by(deliveries.c.id))
        return [(bus, state) for bus, state in found]


def test_each_worker_runs_only_the_events_of_its_own_bus(shop: EventsManager, blog: EventsManager) -> None:
    shop.fire(Event("noted", "of the shop"))
    blog.fire(Event("noted", "of the blog"))

    work(shop)
    assert runs == [("shop", "of the shop")]

    work(blog)
    assert runs == [("shop", "of the shop"), ("blog", "of the blog")]
    assert states(shop) == [("shop", "done"), ("blog", "done")]


def test_an_event_that_joins_a_session_is_on_the_bus_of_its_app(shop: EventsManager, blog: EventsManager) -> None:
    with Session(blog.log.engine) as session:
        shop.fire(Event("noted"), session=session)
        session.commit()

    assert buses_in(shop, events) == buses_in(shop, deliveries) == ["shop"]


def test_all_that_is_written_of_an_app_is_on_its_bus(shop: EventsManager) -> None:
    delayed = shop.emit("noted", "later", delay=0)
    shop.registry.signals.signal("noted").send(Event("noted"), ctx=None)
    shop.fire(Event("seen"))
    assert shop.queueing.recorder.flush(60)
    shop.replay(delayed.id)
    work(shop)

    for table in (events, deliveries, rates, audit):
        assert set(buses_in(shop, table)) == {"shop"}, table.name


def test_what_is_of_another_bus_is_neither_retried_nor_cancelled_nor_replayed(
    shop: EventsManager, blog: EventsManager
) -> None:
    dead, pending = shop.fire(Event("failing")), shop.fire(Event("noted"))
    shop.fire(Event("noted"))
    with shop.log.begin() as connection:
        connection.execute(update(deliveries).where(deliveries.c.event_id == dead.id).values(state="dead"))

    for target in (dead.id, 1):
        with pytest.raises(OperationRefused, match="is not in the event log"):
            blog.retry(target)
    for target in (pending.id, 2):
        with pytest.raises(OperationRefused, match="is not in the event log"):
            blog.cancel(target)
    with pytest.raises(OperationRefused, match="is not in the event log"):
        blog.replay(pending.id)

    assert shop.cancel(pending.id) == 1 and shop.retry(dead.id) == 1


def test_what_waits_and_who_works_is_counted_by_bus(shop: EventsManager, blog: EventsManager) -> None:
    shop.fire(Event("noted"))
    with blog.log.begin() as connection:
        sign_in(connection, Presence.here(1, ("default",)))
        assert count_due(connection) == 0

    with shop.log.read() as connection:
        assert count_due(connection) == waiting_unseen(connection) == 1
    assert buses_in(shop, workers) == ["blog"]


def test_lost_deliveries_are_taken_back_by_workers_of_their_bus(shop: EventsManager, blog: EventsManager) -> None:
    class Known:
        pairs = [("noted", f"{__name__}:note")]

        def lost_for_good(self, pair: object, attempt: int, losses: int, *, alone: bool) -> bool:
            return False

    shop.fire(Event("noted"))
    with shop.log.begin() as connection:
        lanes = find_lanes(connection)
        claim(connection, Wish(worker="w", count=1, lanes=lanes, pairs=Known.pairs, is_idle=True))
        connection.execute(update(deliveries).values(lease_until=0.0))

    with blog.log.begin() as connection:
        assert find_lanes(connection).open == [] and reap(connection, Known()) == []
    with shop.log.begin() as connection:
        assert [one.name for one in reap(connection, Known())] == ["noted"]


def test_rates_are_counted_shown_and_rebuilt_by_bus(shop: EventsManager, blog: EventsManager) -> None:
    for manager, times in ((shop, 2), (blog, 1)):
        for _ in range(times):
            manager.fire(Event("noted"))
        work(manager)

    for manager, times in ((shop, 2), (blog, 1)):
        with manager.log.begin() as connection:
            assert [total.runs for total in totals(connection, 0)] == [times]
            assert [sum(buckets.values()) for buckets in durations(connection, 0).values()] == [times]
            assert rebuild(connection, time.time()) == times
            assert [total.runs for total in totals(connection, 0)] == [times]


def test_what_another_bus_has_in_the_log_deletes_no_rates_of_this_one(shop: EventsManager, blog: EventsManager) -> None:
    for manager in (shop, blog):
        manager.fire(Event("noted"))
        work(manager)
    with shop.log.begin() as connection:
        connection.execute(update(deliveries).where(deliveries.c.bus == "blog").values(finished_at=0.0))
        add_runs(connection, [Finished("of a pruned delivery", "m:j", "done", 0.0, 0.0)])

    with shop.log.begin() as connection:
        rebuild(connection, time.time())
        assert [total.name for total in totals(connection, 0)] == ["noted", "of a pruned delivery"]


def test_only_what_is_on_the_bus_is_pruned(shop: EventsManager, blog: EventsManager) -> None:
    for manager in (shop, blog):
        manager.fire(Event("noted"))
        manager.emit("nobody listens", delay=0)
        work(manager)
    prune = Prune(Retention(time.time() + 60, time.time() + 60))

    with blog.log.begin() as connection:
        assert prune.count(connection) == 2
        while not prune.is_over:
            prune.batch(connection)

    assert buses_in(shop, events) == ["shop", "shop"] and buses_in(shop, deliveries) == ["shop"]


def test_old_rates_gauges_and_workers_are_forgotten_by_bus(shop: EventsManager, blog: EventsManager) -> None:
    for manager in (shop, blog):
        with manager.log.begin() as connection:
            add_runs(connection, [Finished("noted", "m:j", "done", 0.0, 0.0)])
            add_gauge(connection, 0.0, Gauge(0, 0.0, 1))
            add_waits(connection, [("default", 0.1)])
            sign_in(connection, Presence.here(1, ()))
    with shop.log.begin() as connection:
        connection.execute(update(workers).values(seen_at=0.0))
        connection.execute(update(waits).values(start=0))

    with blog.log.begin() as connection:
        prune_rates(connection, time.time(), HOURS_KEPT)
        prune_trends(connection, time.time())
        sign_in(connection, Presence.here(1, ()))
    assert buses_in(shop, rates) == ["blog", "shop", "shop"]
    assert buses_in(shop, gauges) == ["shop", "shop"]
    assert buses_in(shop, waits) == ["shop", "shop"]
    assert buses_in(shop, workers) == ["blog", "shop"]


def test_one_schedule_of_two_apps_fires_for_each(shop: EventsManager, blog: EventsManager) -> None:
    for manager in (shop, blog):
        manager.schedule("noted", "* * * * *")
        Upkeep(manager).tick()

    assert set(buses_in(shop, events)) == {"blog", "shop"}


def test_an_id_is_that_of_one_event_whatever_the_bus(shop: EventsManager, blog: EventsManager) -> None:
    shop.fire(Event("noted", id="order-1"))

    with pytest.raises(EventIdTaken, match="id 'order-1' is that of an event of bus 'shop' in the event log"):
        blog.fire(Event("noted", id="order-1"))
    shop.fire(Event("noted", id="order-1"))

    assert buses_in(shop, deliveries) == ["shop"]


def test_runs_of_an_event_whose_id_is_taken_on_another_bus_are_not_recorded_and_told_of(
    shop: EventsManager, blog: EventsManager, caplog: pytest.LogCaptureFixture
) -> None:
    for manager in (shop, blog):
        manager.fire(Event("seen", id="order-1"))
        manager.fire(Event("seen"))
        assert manager.queueing.recorder.flush(60)

    assert buses_in(shop, deliveries) == buses_in(shop, events) == ["blog", "shop", "shop"]
    assert "id 'order-1' is that of an event of bus 'shop'" in caplog.text


def test_the_commands_show_and_change_what_is_on_the_bus_only(shop: EventsManager, blog: EventsManager) -> None:
    dead = shop.fire(Event("failing", "of the shop"))
    work(shop)
    work(blog)
    run = blog.app.test_cli_runner().invoke

    for command in (["log"], ["stats"], ["retry", "--all-dead", "--yes"], ["prune", "--older-than", "0", "--yes"]):
        shown = run(args=["events", *command])
        assert shown.exit_code == 0 and "failing" not in shown.output, shown.output
    for command in (["show", dead.id], ["show", "1"], ["retry", "1"], ["replay", dead.id]):
        refused = run(args=["events", *command])
        assert refused.exit_code == 2 and "in the event log" in refused.output, refused.output
    assert states(shop) == [("shop", "dead")]


def test_a_claim_finds_its_bus_by_the_index(shop: EventsManager, blog: EventsManager) -> None:
    for number in range(50):
        (shop, blog)[number % 2].fire(Event("noted", number))
    engine = shop.log.engine
    seen: list[tuple[str, Any]] = []
    with shop.log.begin() as connection:
        on.listen(connection, "before_cursor_execute", lambda *said: seen.append((said[2], said[3])))
        pairs = [("noted", f"{__name__}:note")]
        claim(connection, Wish(worker="w", count=9, lanes=find_lanes(connection), pairs=pairs, is_idle=True))

    looks = [one for one in seen if "LIMIT" in one[0]]
    assert len(looks) == 2
    for statement, parameters in looks:
        plan = plan_of(engine, statement, parameters)
        assert "condor_due" in plan and not ("SCAN condor_deliveries" in plan or "Seq Scan on condor_del" in plan), plan


def plan_of(engine: Any, statement: str, parameters: Any) -> str:
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")  # a table of 50 rows is read as a whole
        explain = "EXPLAIN QUERY PLAN " if engine.dialect.name == "sqlite" else "EXPLAIN "
        return "\n".join(str(row[-1]) for row in connection.exec_driver_sql(explain + statement, parameters))


@pytest.mark.parametrize("bus", ["", "a b", "x" * 65, "shop/eu", 7, None])
def test_a_bus_that_is_no_name_is_refused(bus: object, tmp_path: Path) -> None:
    app = Flask("test", instance_path=str(tmp_path))
    app.config["CONDOR_BUS"] = bus

    with pytest.raises(ConfigInvalid, match="CONDOR_BUS is .* expected 1 to 64 letters, digits, '_', '.' or '-'"):
        Condor(app)
