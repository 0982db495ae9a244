"""The demo's hour holds what the dashboard has to show, and its shop is one that really runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_condor import EventsManager
from flask_condor.dashboard.traces import parts_of
from flask_condor.demo.app import create_demo
from flask_condor.edge_models import rejections
from flask_condor.edge_models import tokens
from flask_condor.models import audit
from flask_condor.models import deliveries
from flask_condor.models import events
from flask_condor.models import failures
from flask_condor.redaction import redaction_by
from flask_condor.testing import EventsWorker
from flask_condor.trend_models import gauges
from flask_condor.trend_models import waits
from sqlalchemy import Column
from sqlalchemy import func
from sqlalchemy import select


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Flask]:
    app = create_demo(tmp_path)
    yield app
    manager_of(app).log.engine.dispose()


def manager_of(app: Flask) -> EventsManager:
    manager: EventsManager = app.extensions["condor"]
    return manager


def counts(shop: Flask, column: Column[Any]) -> dict[Any, int]:
    with manager_of(shop).log.read() as connection:
        rows = connection.execute(select(column, func.count()).group_by(column))
        return {row[0]: row[1] for row in rows}


def test_the_hour_holds_runs_in_every_state(shop: Flask) -> None:
    assert counts(shop, deliveries.c.state).keys() >= {"done", "dead", "pending", "cancelled"}


def test_the_hour_holds_retries_chains_orphans_and_what_came_over_http(shop: Flask) -> None:
    assert max(counts(shop, deliveries.c.attempt)) == 5
    assert max(len(path) for path in counts(shop, events.c.path)) > len('["order.placed","order.paid"]')
    assert counts(shop, events.c.is_orphan)[True]
    assert counts(shop, events.c.source).keys() == {"handler", "job", "http", "replay"}
    assert counts(shop, audit.c.action).keys() == {"retry", "replay", "cancel"}


def test_each_event_over_http_has_a_receipt_and_some_requests_were_refused(shop: Flask) -> None:
    received = counts(shop, events.c.sender)
    assert sum(received[one] for one in received if one) == counts(shop, events.c.source)["http"]
    assert counts(shop, events.c.form)["cloudevents-structured"] == counts(shop, events.c.subject)["campaigns/autumn"]
    assert counts(shop, rejections.c.status).keys() == {401, 403, 409, 413, 422, 429}
    assert len(counts(shop, tokens.c.name)) == 4


def test_the_workers_have_noted_each_minute_of_the_hour(shop: Flask) -> None:
    assert counts(shop, gauges.c.width)[60] == 60
    assert max(counts(shop, gauges.c.pending)) > 0
    assert counts(shop, waits.c.width)[60] > 60


def test_nothing_in_the_hour_has_ended_in_the_future(shop: Flask) -> None:
    with manager_of(shop).log.read() as connection:
        late = select(func.count()).where(deliveries.c.finished_at > func.unixepoch() + 1)
        assert connection.scalar(late) == 0


def test_the_shops_jobs_run_what_is_left(shop: Flask) -> None:
    before = counts(shop, deliveries.c.state)

    with EventsWorker(shop) as worker:
        worker.run()

    assert counts(shop, deliveries.c.state)["done"] > before["done"]


def test_a_traceback_of_the_shop_shows_its_code_and_none_of_what_made_the_hour_up(shop: Flask) -> None:
    with manager_of(shop).log.read() as connection:
        frames = set(connection.scalars(select(failures.c.frame)))
        error = connection.scalar(select(deliveries.c.error).where(deliveries.c.state == "dead").limit(1))
    own = [part for part in parts_of(redaction_by(()), error) if not part.is_folded]

    assert "flask_condor.demo.shop:ask_carrier" in frames
    assert "shop.py" in own[0].text and "hour.py" not in str(error)
