"""What is refused is counted by hour, status and rule, told of now and then, and says no secret."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask_condor import EventsManager
from flask_condor.background import WRITERS
from flask_condor.edge_models import rejections
from flask_condor.ingress.rejections import HOUR
from flask_condor.ingress.rejections import Rejections
from flask_condor.prune import DAY
from flask_condor.prune import prune_rejections
from sqlalchemy import text
from sqlalchemy import update

from tests.triggers import ingress
from tests.triggers import make_manager
from tests.triggers import post
from tests.triggers import rows

UGLY = "a\r\n[2026-01-01] ERROR forged \x1b[31m\u2028line"


@pytest.fixture
def manager(database_url: str, half_past: None) -> Iterator[EventsManager]:
    with ingress(database_url) as manager:
        yield manager


def stored(manager: EventsManager) -> list[dict[str, Any]]:
    """Return the rejections, once those of every writer of this process are stored."""
    for writer in list(WRITERS):
        if isinstance(writer, Rejections):
            writer.flush(60)
    return rows(manager, "rejections")


def lines(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [one for one in caplog.records if vars(one).get("action") == "request_refused"]


def test_refused_requests_are_counted_by_hour_status_and_rule(manager: EventsManager) -> None:
    for body in (b"{", b"[1", b"{}", b'{"event":"a","event":"b"}'):
        post(manager, body)
    before = {row["rule"]: row["count"] for row in stored(manager)}
    post(manager, b"{")

    found = {row["rule"]: row for row in stored(manager)}
    assert before == {"malformed": 2, "missing-fields": 1, "duplicate-key": 1}
    assert [found[rule]["count"] for rule in ("malformed", "missing-fields", "duplicate-key")] == [3, 1, 1]
    assert {row["status"] for row in found.values()} == {400}
    assert found["malformed"]["start"] == found["malformed"]["last_at"] // HOUR * HOUR
    assert rows(manager, "events") == []


def test_the_sample_is_short_and_redacted(manager: EventsManager) -> None:
    payload = {"password": "hunter2", "note": "x" * 500}
    post(manager, {"event": "a", "payload": payload, "id": "1"})
    post(manager, {"event": "a", "payload": payload | {"more": 1}, "id": "1"}, Authorization="Bearer hunter2")

    (row,) = stored(manager)
    sample = json.loads(row["sample"])
    assert (row["status"], row["rule"]) == (409, "id-taken")
    assert (sample["address"], sample["path"], sample["type"]) == ("127.0.0.1", "/trigger", "application/json")
    assert (sample["sender"], sample["event"]) == ("local", "a") and sample["size"] > 500
    assert sample["body"].startswith('{"password":"[redacted]","note":"xxx') and len(sample["body"]) == 200
    assert "hunter2" not in row["sample"]


def test_a_flood_makes_one_row_and_one_line(manager: EventsManager, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2000):
        post(manager, b"{")

    (row,) = stored(manager)
    assert row["count"] == 2000
    assert 1 <= len(lines(caplog)) <= 4


def test_the_next_line_says_how_many_were_not_told_of(
    manager: EventsManager, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(4):
        post(manager, b"{")
    monkeypatch.setattr("flask_condor.ingress.rejections.BETWEEN_LINES", 0.0)
    post(manager, b"{")

    told = [line.getMessage() for line in lines(caplog)]
    assert len(told) == 2 and told[1].endswith(" And 3 more for that rule since it was last told of.")


def test_what_was_sent_cannot_forge_a_line(manager: EventsManager, caplog: pytest.LogCaptureFixture) -> None:
    long = "n" * 1_000_000
    for body in ({"event": UGLY}, {"event": "a", "id": UGLY}, {"event": "a", "delay": {UGLY: 1}}, {"event": long}):
        assert 400 <= post(manager, body).status_code < 500
    assert post(manager, b"{}", kind="x/\u2028\x1b[31m").status_code == 415

    told = [line.getMessage() for line in lines(caplog)]
    assert len(told) >= 4
    assert all(line.isprintable() and len(line) < 1000 for line in told)
    for row in stored(manager):
        assert row["sample"].isprintable()
        assert len(row["sample"]) < 1500


def test_the_counts_wait_while_the_database_is_away(manager: EventsManager) -> None:
    post(manager, {"event": "a"})
    with manager.log.begin() as connection:
        connection.execute(text("ALTER TABLE condor_rejections RENAME TO condor_away"))
    for _ in range(3):
        post(manager, b"{")
    for writer in [one for one in list(WRITERS) if isinstance(one, Rejections)]:
        writer.flush(60)
    with manager.log.begin() as connection:
        connection.execute(text("ALTER TABLE condor_away RENAME TO condor_rejections"))
    post(manager, b"{")

    assert [row["count"] for row in stored(manager)] == [4]


def test_they_are_stored_without_being_asked_for(manager: EventsManager) -> None:
    post(manager, b"{")

    until = time.monotonic() + 30
    while not rows(manager, "rejections") and time.monotonic() < until:
        time.sleep(0.1)
    assert [row["count"] for row in rows(manager, "rejections")] == [1]


def test_they_are_kept_for_90_days(manager: EventsManager) -> None:
    post(manager, b"{")
    post(manager, b"[]")
    now = time.time()
    stored(manager)
    with manager.log.begin() as connection:
        old = update(rejections).where(rejections.c.rule == "malformed")
        connection.execute(old.values(start=int(now - 91 * DAY)))
        assert prune_rejections(connection, now) == 1

    assert [row["rule"] for row in rows(manager, "rejections")] == ["missing-fields"]


def test_why_the_log_is_away_is_told_to_the_operator_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    manager = make_manager(f"sqlite:///{tmp_path / 'file' / 'condor.db'}")

    answer = post(manager, {"event": "a"})

    (line,) = lines(caplog)
    assert answer.status_code == 503 and "file" not in answer.text
    assert str(tmp_path) in line.getMessage()
