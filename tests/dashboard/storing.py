"""Writes one text wherever the event log holds one, as somebody would who wants a page to act upon it."""

from __future__ import annotations

import json

from flask_condor.edge_models import rejections
from flask_condor.edge_models import tokens
from flask_condor.edge_models import webhooks
from flask_condor.failures import Failed
from flask_condor.failures import add_failures
from flask_condor.log import clock
from flask_condor.models import audit
from flask_condor.models import bulk_operations
from flask_condor.models import deliveries
from flask_condor.models import events
from flask_condor.models import failures
from flask_condor.models import pauses
from flask_condor.models import workers
from flask_condor.rates import Finished
from flask_condor.rates import add_runs
from flask_condor.storable import Failure
from sqlalchemy import insert
from sqlalchemy import update
from sqlalchemy.engine import Connection


def store(connection: Connection, number: int, text: str) -> None:
    """Write *text* wherever the log holds one."""
    now = clock(connection) - 60 + number / 10
    id = f"{text} {number}"[:255]
    store_event(connection, id, now, text)
    delivery = store_run(connection, id, now, text)
    store_failure(connection, delivery, now, text)
    store_operating(connection, f"{number} {text}", now, text)
    store_edges(connection, id, now, text)


def store_event(connection: Connection, id: str, at: float, text: str) -> None:
    event = {"id": id, "name": text, "payload": json.dumps({text: [text, {text: text}]}), "is_replayable": True}
    event |= {"is_orphan": False, "source": "http", "fired_at": at, "root_id": id, "path": json.dumps([text])}
    connection.execute(insert(events).values(**event, cause_name=text, cause_job=text, subject=text, bus="default"))


def store_run(connection: Connection, id: str, at: float, text: str) -> int:
    delivery = {"event_id": id, "job": f"module:{text}", "run": "queued", "queue": text[:64], "priority": 0}
    delivery |= {"state": "dead", "due_at": at, "attempt": 5, "losses": 0, "worker": text[:64], "started_at": at}
    delivery |= {"finished_at": at + 1, "error": f"Traceback\n{text}: {text}", "result": json.dumps(text)}
    made = connection.execute(insert(deliveries).values(**delivery, bus="default")).inserted_primary_key
    add_runs(connection, [Finished(text, f"module:{text}", "dead", at, 1.0)])
    assert made is not None
    return int(made[0])


def store_failure(connection: Connection, delivery: int, at: float, text: str) -> None:
    error = Failure(text, f"module:{text}", f"{text}: {text}\nTraceback\n  File {text}")
    failed = Failed(delivery, 5, text, f"module:{text}", "dead", text[:64], at, at + 1, error)
    (failure,) = add_failures(connection, [failed])
    connection.execute(update(deliveries).where(deliveries.c.id == delivery).values(failure_id=failure))
    connection.execute(update(failures).where(failures.c.id == failure).values(note=text))


def store_operating(connection: Connection, unique: str, at: float, text: str) -> None:
    worker = {
        "id": unique[:64],
        "host": text,
        "pid": 1,
        "threads": 1,
        "queues": json.dumps([text]),
        "version": text[:64],
    }
    connection.execute(insert(workers).values(**worker, started_at=at, seen_at=at, bus="default"))
    pause = {"kind": "queue", "name": unique[:255], "at": at, "actor": text}
    connection.execute(insert(pauses).values(**pause, bus="default"))
    chosen = json.dumps({"kind": "retry", "event": text, "job": text})
    operation = {
        "title": text,
        "kind": "retry",
        "actor": text,
        "chosen": chosen,
        "state": "failed",
        "total": 1,
    }
    operation |= {"done": 0, "left_out": 1, "place": "{}", "error": text, "created_at": at, "finished_at": at}
    connection.execute(insert(bulk_operations).values(**operation, worker=text[:64], bus="default"))


def store_edges(connection: Connection, id: str, at: float, text: str) -> None:
    note = {"at": at, "actor": text, "action": text[:16], "event_id": id, "detail": json.dumps({text: text})}
    connection.execute(insert(audit).values(**note, bus="default"))
    receipt = {
        "digest": "",
        "form": text[:32],
        "sender": text,
        "address": text,
        "key": text,
    }
    receipt |= {"headers": json.dumps({text: text})}
    connection.execute(update(events).where(events.c.id == id).values(**receipt, repeats=1))
    rejection = {"start": int(at // 3600) * 3600, "status": 401, "rule": id[:64], "count": 1, "last_at": at}
    connection.execute(insert(rejections).values(**rejection, sample=json.dumps({text: text}), bus="default"))
    token = {
        "name": id[:64],
        "digest": f"{hash(id):x}"[:64],
        "scopes": json.dumps([text]),
        "created_at": at,
    }
    connection.execute(insert(tokens).values(**token, bus="default"))
    webhook = {"url": f"https://evil.example/{id}", "disabled_at": at, "why": text}
    connection.execute(insert(webhooks).values(**webhook, bus="default"))
