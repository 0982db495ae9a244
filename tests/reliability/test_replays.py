"""T29 (G29): signed events come again: at once, late, altered, or as the answer was lost; each runs exactly once."""

from __future__ import annotations

import http.client
import json
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from contextlib import contextmanager
from typing import NamedTuple

import pytest
from flask_condor.signature import sign

from tests.reliability.clock import Clock
from tests.reliability.stand import Stand

SECRET = "whsec_" + "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2Vj"
LATE = 295.0
"""Seconds: within the 300 for which a signature is good, with some for a busy machine."""
TOO_LATE = 301.0
MINUTES = 600
"""Seconds: a step that makes a new signature too old, or one of the future."""


class Answer(NamedTuple):
    status: int
    body: bytes


def send(port: int, id: str, *, ago: float = 0.0, as_id: str = "", ends: str = "") -> Answer:
    """Post one event, signed so many seconds *ago*; without an answer the status is 0.

    :param as_id: the id in the header, when it is not the signed one. :param ends: "killed" kills the server's process
        once the event is stored.
    """
    body = json.dumps({"event": "ok", "payload": {"order": id}}).encode()
    headers = sign(SECRET, id, time.time() - ago, body) | {"Content-Type": "application/json", "X-Ends": ends}
    headers["webhook-id"] = as_id or id
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        try:
            connection.request("POST", "/trigger", body, headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read())
        except (OSError, http.client.HTTPException):
            return Answer(0, b"")


@contextmanager
def receiving(stand: Stand, environment: dict[str, str] | None = None) -> Iterator[int]:
    """Run the shop, open to who signs by the secret, in 2 processes; yield the port."""
    stand.environment["SHOP_CONDOR_TRIGGER_SECRETS"] = json.dumps([SECRET])
    with stand.web("--worker-class=gthread", "--threads=4", environment=environment) as (_, port):
        yield port


def ids_of(count: int) -> list[str]:
    return [f"msg-{number}" for number in range(count)]


def runs(stand: Stand, ids: list[str], environment: dict[str, str] | None = None) -> Counter[int]:
    """Run what is stored, and return how many of *ids* ran how often."""
    with stand.workers(environment=environment):
        stand.drain()
    ran = stand.witness.runs
    return Counter(ran[id] for id in ids)


@pytest.mark.parametrize("count", [200, pytest.param(10_000, marks=pytest.mark.slow)])
def test_what_comes_again_is_answered_the_same_and_runs_once(stand: Stand, count: int) -> None:
    ids = ids_of(count)
    with receiving(stand) as port, ThreadPoolExecutor(8) as pool:
        at_once = list(pool.map(lambda id: send(port, id), [id for id in ids for _ in range(2)]))
        late = list(pool.map(lambda id: send(port, id, ago=LATE), ids))
        too_late = list(pool.map(lambda id: send(port, id, ago=TOO_LATE), ids))
        altered = list(pool.map(lambda id: send(port, id, as_id=f"{id}-again"), ids))

    good = [at_once[::2], at_once[1::2], late]
    statuses = [Counter(answer.status for answer in each) for each in (*good, too_late, altered)]
    stand.tell(f"{count} events sent 5 times: {statuses}", ran := runs(stand, ids))
    assert statuses == [{200: count}] * 3 + [{401: count}] * 2
    assert all(len(set(each)) == 1 for each in zip(*good, strict=True))
    assert ran == {1: count}


@pytest.mark.parametrize("count", [6, pytest.param(200, marks=pytest.mark.slow)])
def test_what_is_sent_again_as_its_answer_was_lost_runs_once(stand: Stand, count: int) -> None:
    ids = ids_of(count)
    with receiving(stand) as port:
        lost = [send(port, id, ends="killed").status for id in ids]
        answers = [again(port, id) for id in ids]

    repeats = [row.repeats for row in stand.tables.rows("SELECT repeats FROM condor_events")]
    stand.tell(f"{count} servers killed once the event was stored", ran := runs(stand, ids))
    assert lost == [0] * count
    assert [answer.status for answer in answers] == [200] * count
    assert len(repeats) == count and min(repeats) >= 1
    assert ran == {1: count}


@pytest.mark.parametrize("count", [20, pytest.param(1_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("step", [MINUTES, -MINUTES], ids=["ten minutes on", "ten minutes back"])
def test_a_step_of_the_receivers_clock_refuses_what_it_makes_old_and_runs_nothing_twice(
    stand: Stand, step: int, count: int
) -> None:
    clock, ids, later = Clock(stand.folder), ids_of(count), [f"later-{number}" for number in range(count)]
    with receiving(stand, clock.environment) as port, ThreadPoolExecutor(8) as pool:

        def send_all(ids: list[str], ago: float = 0.0) -> list[Answer]:
            return list(pool.map(lambda id: send(port, id, ago=ago), ids))

        first = send_all(ids)
        clock.step(step)
        by_our_clock = send_all(ids + later)
        by_its_clock = send_all(ids + later, ago=-step)
        clock.step(0)
        back = send_all(ids + later)
        clock.step(MINUTES)  # SQLite goes by the machine's clock: at this one all is due
        ran = runs(stand, ids + later, clock.environment)

    statuses = [Counter(answer.status for answer in each) for each in (first, by_our_clock, by_its_clock, back)]
    stand.tell(f"{count} events, and {count} more when the clock had stepped by {step} s: {statuses}", ran)
    assert statuses == [{200: count}, {401: 2 * count}, {200: 2 * count}, {200: 2 * count}]
    assert first == by_its_clock[:count] and by_its_clock == back
    assert ran == {1: 2 * count}


def again(port: int, id: str) -> Answer:
    """Send until there is an answer: a process that took the place of a killed one may not be there yet."""
    until = time.monotonic() + 60
    while not (answer := send(port, id)).status:
        assert time.monotonic() < until, f"no answer to {id}"
        time.sleep(0.1)
    return answer
