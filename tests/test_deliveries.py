"""The moves of a delivery: claim, finish, heartbeat, release and reap, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventLoop
from flask_condor import EventsManager
from flask_condor.attempt import Attempts
from flask_condor.begun import Left
from flask_condor.claims import ALONE
from flask_condor.claims import ANY
from flask_condor.claims import LEASE
from flask_condor.claims import LOST
from flask_condor.claims import Catch
from flask_condor.claims import Claim
from flask_condor.claims import Wish
from flask_condor.claims import claim
from flask_condor.claims import find_strangers
from flask_condor.claims import next_due
from flask_condor.deliveries import Outcome
from flask_condor.deliveries import finish
from flask_condor.deliveries import heartbeat
from flask_condor.deliveries import reap
from flask_condor.deliveries import release
from flask_condor.deliveries import take_back
from flask_condor.lanes import find_lanes
from flask_condor.models import deliveries
from flask_condor.models import rates
from flask_condor.retry import Retry
from flask_condor.storable import Failure
from sqlalchemy import func
from sqlalchemy import select
from sqlalchemy import update

Row = Any


def first(event: Event[Any], ctx: Context) -> None:
    pass


def second(event: Event[Any], ctx: Context) -> None:
    pass


def once(event: Event[Any], ctx: Context) -> None:
    pass


@pytest.fixture
def manager(database_url: str) -> Iterator[EventsManager]:
    app = Flask("deliveries")
    app.config["CONDOR_DATABASE_URL"] = database_url
    Condor(app)
    manager: EventsManager = app.extensions["condor"]
    manager.register("plain", first, run="queued", retry=Retry(max_attempts=3, wait=10, jitter=False))
    manager.register("urgent", second, run="queued", priority=5, queue="mail")
    manager.register("once", once, run="queued", at_most_once=True)
    yield manager
    manager.log.engine.dispose()


def fire(manager: EventsManager, name: str, times: int = 1, **options: Any) -> None:
    for _ in range(times):
        manager.fire(Event(name), **options)


def claim_as(manager: EventsManager, worker: str, count: int = 100, **changes: Any) -> Catch:
    pairs = changes.pop("pairs", Attempts(manager, replaceable=False).pairs)
    with manager.log.begin() as connection:
        lanes = find_lanes(connection)
        wish = Wish(
            worker=worker, count=count, lanes=lanes, pairs=pairs, is_idle=changes.pop("is_idle", True), **changes
        )
        return claim(connection, wish)


def claim_one(manager: EventsManager, worker: str = "one") -> Claim:
    (claimed,) = claim_as(manager, worker, 1).claims
    return claimed


def failure(text: str) -> Failure:
    return Failure("ValueError", "app:broken", text)


def finish_all(manager: EventsManager, *outcomes: Outcome) -> list[Outcome]:
    with manager.log.begin() as connection:
        return finish(connection, outcomes)


def done(claimed: Claim) -> Outcome:
    return Outcome(claimed, "done", 0.1)


def rows(manager: EventsManager) -> list[Row]:
    with manager.log.read() as connection:
        return list(connection.execute(select(deliveries).order_by(deliveries.c.id)))


def row(manager: EventsManager) -> Row:
    (only,) = rows(manager)
    return only


def outcomes_counted(manager: EventsManager) -> dict[str, int]:
    with manager.log.read() as connection:
        found = select(rates.c.outcome, func.sum(rates.c.runs)).where(rates.c.width == 60).group_by(rates.c.outcome)
        return {outcome: int(runs) for outcome, runs in connection.execute(found)}


def let_leases_run_out(manager: EventsManager) -> None:
    with manager.log.begin() as connection:
        connection.execute(update(deliveries).values(lease_until=deliveries.c.lease_until - LEASE - 1))


def reap_all(manager: EventsManager) -> None:
    with manager.log.begin() as connection:
        reap(connection, Attempts(manager, replaceable=False))


def lose(manager: EventsManager) -> None:
    let_leases_run_out(manager)
    reap_all(manager)


def test_a_claim_takes_what_is_due_and_counts_the_attempt(manager: EventsManager) -> None:
    fire(manager, "plain")

    catch = claim_as(manager, "one")

    found = row(manager)
    assert [one.event.name for one in catch.claims] == ["plain"]
    assert catch.is_all
    assert (found.state, found.attempt, found.worker) == ("running", 1, "one")
    assert found.lease_until == pytest.approx(found.started_at + LEASE)


def test_a_claim_takes_the_higher_priority_first_and_then_the_older(manager: EventsManager) -> None:
    fire(manager, "plain", 2)
    fire(manager, "urgent", 2)

    catch = claim_as(manager, "one", 3)

    assert [one.event.name for one in catch.claims] == ["urgent", "urgent", "plain"]
    assert [one.id for one in catch.claims] == [3, 4, 1]
    assert not catch.is_all


def test_a_claim_leaves_what_is_not_due_and_what_another_has(manager: EventsManager) -> None:
    fire(manager, "plain", delay=60)
    fire(manager, "plain")

    ours, theirs = claim_as(manager, "one"), claim_as(manager, "two")

    assert len(ours.claims) == 1
    assert theirs.claims == []


def test_the_next_due_time_is_that_of_the_soonest_delayed(manager: EventsManager) -> None:
    fire(manager, "plain")
    fire(manager, "plain", delay=60)
    fire(manager, "urgent", delay=30)

    with manager.log.read() as connection:
        wait = next_due(connection, find_lanes(connection).open)

    assert wait is not None and 0 < wait <= 30


def test_two_workers_that_claim_at_once_share_the_deliveries(manager: EventsManager) -> None:
    fire(manager, "plain", 60)
    taken: list[int] = []

    def take(worker: str) -> None:
        for _ in range(30):
            taken.extend(one.id for one in claim_as(manager, worker, 2).claims)

    threads = [threading.Thread(target=take, args=(str(number),)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(taken) == [one.id for one in rows(manager)]


def test_what_a_worker_does_not_know_is_left_as_it_is_for_one_that_does(manager: EventsManager) -> None:
    fire(manager, "plain")
    fire(manager, "urgent")
    known = set(Attempts(manager, replaceable=False).pairs)

    unknowing = claim_as(manager, "old", pairs={pair for pair in known if pair[0] != "plain"})
    parked = rows(manager)[0]
    with manager.log.read() as connection:
        strangers = find_strangers(connection, find_lanes(connection).open, known - {("plain", f"{__name__}:first")})
    knowing = claim_as(manager, "new")

    assert [one.event.name for one in unknowing.claims] == ["urgent"]
    assert (parked.state, parked.attempt) == ("pending", 0)
    assert strangers == [("plain", f"{__name__}:first")]
    assert [one.event.name for one in knowing.claims] == ["plain"]


def test_each_job_that_is_not_known_is_found_behind_many_of_another(manager: EventsManager) -> None:
    fire(manager, "plain", 101)
    fire(manager, "once")

    with manager.log.read() as connection:
        strangers = find_strangers(connection, find_lanes(connection).open, [])

    assert strangers == [("once", f"{__name__}:once"), ("plain", f"{__name__}:first")]


def test_what_a_lost_worker_had_in_hand_is_found_where_its_job_is_not_known(manager: EventsManager) -> None:
    fire(manager, "plain")
    claim_one(manager)
    known = Attempts(manager, replaceable=False).pairs

    with manager.log.begin() as connection:
        held = find_strangers(connection, [], [])
        connection.execute(update(deliveries).values(lease_until=1.0))
        strangers, ours = find_strangers(connection, [], []), find_strangers(connection, [], known)

    assert (held, strangers, ours) == ([], [("plain", f"{__name__}:first")], [])


def test_a_job_known_for_another_event_is_not_known_for_this_one(manager: EventsManager) -> None:
    fire(manager, "plain")
    parked_before = rows(manager)[0]

    catch = claim_as(manager, "old", pairs={("urgent", f"{__name__}:first")})
    parked = rows(manager)[0]

    assert (catch.claims, catch.strangers) == ([], [("plain", f"{__name__}:first")])
    assert (parked.state, parked.attempt, parked.due_at - parked_before.due_at) == (
        "pending",
        0,
        pytest.approx(60, abs=30),
    )


def test_a_finish_writes_the_outcomes_together_and_counts_them(manager: EventsManager) -> None:
    fire(manager, "plain", 4)
    claims = claim_as(manager, "one").claims

    finish_all(
        manager,
        done(claims[0]),
        Outcome(claims[1], "done", 0.1, result="{}"),
        Outcome(claims[2], "failed", 0.1, failure=failure("no"), wait=60),
        Outcome(claims[3], "dead", 0.1, failure=failure("no")),
    )

    plain, answered, failed, dead = rows(manager)
    assert [one.state for one in (plain, answered, failed, dead)] == ["done", "done", "pending", "dead"]
    assert (plain.result, answered.result, failed.error, dead.error) == (None, "{}", "no", "no")
    assert failed.due_at > plain.finished_at + 50
    assert failed.worker is None and failed.finished_at is None
    assert outcomes_counted(manager) == {"done": 2, "failed": 1, "dead": 1}


def test_a_finish_is_refused_when_the_claim_was_lost_and_another_has_it(manager: EventsManager) -> None:
    fire(manager, "plain")
    stale = claim_one(manager, "stopped")
    lose(manager)
    fresh = claim_one(manager, "other")

    refused = finish_all(manager, Outcome(stale, "dead", 0.1, failure=failure("stale")))
    kept = finish_all(manager, done(fresh))

    assert refused == []
    assert [one.claim.id for one in kept] == [fresh.id]
    assert (row(manager).state, row(manager).error, row(manager).attempt) == ("done", None, 2)
    assert outcomes_counted(manager) == {"done": 1, "lost": 1}


def test_a_finish_by_the_same_worker_in_an_older_attempt_is_refused(manager: EventsManager) -> None:
    fire(manager, "plain")
    stale = claim_one(manager)
    finish_all(manager, Outcome(stale, "failed", 0.1))
    fresh = claim_one(manager)

    assert finish_all(manager, done(stale)) == []
    assert (row(manager).state, row(manager).attempt) == ("running", fresh.attempt)


def test_a_heartbeat_renews_only_what_is_still_held(manager: EventsManager) -> None:
    fire(manager, "plain", 2)
    kept, lost = claim_as(manager, "one").claims
    let_leases_run_out(manager)
    finish_all(manager, done(lost))

    with manager.log.begin() as connection:
        held = heartbeat(connection, [kept, lost])
    reap_all(manager)

    assert held == 1
    assert [one.state for one in rows(manager)] == ["running", "done"]


def test_what_is_released_before_it_began_is_due_again_and_not_counted(manager: EventsManager) -> None:
    fire(manager, "plain", 2)
    waiting, begun = claim_as(manager, "one").claims

    with manager.log.begin() as connection:
        release(connection, [waiting], started=False)
        release(connection, [begun], started=True)

    assert [(one.state, one.attempt, one.worker) for one in rows(manager)] == [
        ("pending", 0, None),
        ("pending", 1, None),
    ]
    assert [one.attempt for one in claim_as(manager, "two").claims] == [1, 2]


def test_what_a_worker_that_is_no_more_had_not_begun_is_due_again_and_not_counted_and_the_rest_is_lost(
    manager: EventsManager,
) -> None:
    fire(manager, "plain", 4)
    claim_as(manager, "killed", 3)
    claim_as(manager, "alive")

    with manager.log.begin() as connection:
        given_back = take_back(connection, Left("killed", frozenset({2})))
        lost = reap(connection, Attempts(manager, replaceable=False))

    assert (given_back, [one.id for one in lost]) == (2, [2])
    assert [(one.state, one.attempt, one.worker) for one in rows(manager)] == [
        ("pending", 0, None),
        ("pending", 1, LOST),
        ("pending", 0, None),
        ("running", 1, "alive"),
    ]


def test_one_that_was_to_be_alone_and_had_not_begun_is_still_to_be_alone_and_no_loss_is_counted(
    manager: EventsManager,
) -> None:
    fire(manager, "plain")
    claim_one(manager)
    lose(manager)
    assert claim_as(manager, "killed").is_alone

    with manager.log.begin() as connection:
        take_back(connection, Left("killed", frozenset()))

    assert (row(manager).state, row(manager).attempt, row(manager).losses) == ("pending", 1, 0)
    assert claim_as(manager, "next").is_alone


def test_a_lease_that_runs_out_makes_the_delivery_pending_and_it_is_claimed_alone(manager: EventsManager) -> None:
    fire(manager, "plain", 3)
    claim_as(manager, "killed", 2)
    lose(manager)

    busy = claim_as(manager, "busy", is_idle=False)
    idle = claim_as(manager, "idle")
    other = claim_as(manager, "other")

    assert busy.claims == [] and busy.wants_empty_hands
    assert [one.id for one in idle.claims] == [1] and idle.is_alone
    assert idle.claims[0].worker == "idle" + ALONE
    assert [one.id for one in other.claims] == [2] and other.is_alone
    assert [one.losses for one in rows(manager)] == [0, 0, 0]


def test_only_losses_alone_are_counted_and_lead_to_death(manager: EventsManager) -> None:
    fire(manager, "plain")
    seen = []
    while row(manager).state == "pending":
        claim_one(manager, "killed")
        lose(manager)
        seen.append(row(manager).losses)

    assert seen == [0, 1, 2]
    assert (row(manager).state, row(manager).attempt) == ("dead", 3)
    assert "worker killed was lost" in row(manager).error
    assert outcomes_counted(manager) == {"lost": 2, "dead": 1}


def test_innocents_lost_with_others_time_and_again_never_die(manager: EventsManager) -> None:
    fire(manager, "plain", 2)

    for _ in range(5):
        with manager.log.begin() as connection:
            connection.execute(update(deliveries).values(worker=None))
        assert len(claim_as(manager, "killed").claims) == 2
        lose(manager)

    assert [(one.state, one.losses) for one in rows(manager)] == [("pending", 0)] * 2


def test_a_job_that_runs_at_most_once_is_dead_when_its_worker_is_lost(manager: EventsManager) -> None:
    fire(manager, "once")
    claim_one(manager)

    lose(manager)

    assert (row(manager).state, row(manager).attempt) == ("dead", 1)


def test_a_lost_delivery_holds_up_no_other_once_empty_hands_were_waited_for(manager: EventsManager) -> None:
    for _ in range(2):
        if not rows(manager):
            fire(manager, "plain")
        claim_one(manager)
        lose(manager)
    fire(manager, "plain", 3)

    waiting = claim_as(manager, "busy", is_idle=False)
    going_on = claim_as(manager, "busy", is_idle=False, bold=1)
    taking_it = claim_as(manager, "busy", is_idle=False, bold=ANY)

    assert (waiting.claims, waiting.wants_empty_hands) == ([], True)
    assert ([one.was_lost for one in going_on.claims], going_on.is_all) == ([False] * 3, True)
    assert [one.was_lost for one in taking_it.claims] == [True]


def test_a_job_that_runs_at_most_once_is_dead_when_it_fails(manager: EventsManager) -> None:
    fire(manager, "once")
    [claimed] = claim_as(manager, "one").claims

    outcome = Attempts(manager, replaceable=False).failed(claimed, 0.1, failure("no"))

    assert outcome.kind == "dead"


def test_a_job_that_fires_without_an_end_is_dead_at_once(manager: EventsManager) -> None:
    def loop(event: Event[Any], ctx: Context) -> None:
        raise EventLoop("too long", ("looped", "looped"))

    manager.register("looped", loop, run="queued")
    fire(manager, "looped")
    [claimed] = claim_as(manager, "one").claims

    assert Attempts(manager, replaceable=False).run(claimed).kind == "dead"


def test_a_lost_delivery_of_an_unknown_job_waits_for_a_worker_that_knows_its_rules(manager: EventsManager) -> None:
    fire(manager, "once")
    claim_one(manager)
    let_leases_run_out(manager)
    manager.unregister("once", once)

    reap_all(manager)
    before = row(manager).state
    manager.register("once", once, run="queued", at_most_once=True)
    reap_all(manager)

    assert (before, row(manager).state) == ("running", "dead")


def test_a_lease_from_before_the_clock_was_set_back_is_reaped(manager: EventsManager) -> None:
    fire(manager, "plain")
    claim_one(manager)
    with manager.log.begin() as connection:
        connection.execute(update(deliveries).values(lease_until=deliveries.c.lease_until + 3600))

    reap_all(manager)

    assert row(manager).state == "pending"


def test_the_lanes_are_found_without_reading_what_is_in_them(manager: EventsManager) -> None:
    fire(manager, "plain", 3)
    fire(manager, "urgent", 3)
    claim_as(manager, "one", 3)

    with manager.log.read() as connection:
        lanes = find_lanes(connection)

    assert lanes.open == [("default", 0)]
