"""The records: what ran in this process, by the columns of the tables, and the statements that write it."""

from __future__ import annotations

import marshal
import typing as t
from collections.abc import Container
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from itertools import chain
from operator import itemgetter

import msgspec
from sqlalchemy import bindparam
from sqlalchemy import select
from sqlalchemy import text
from sqlalchemy import update
from sqlalchemy.engine import Connection

from .bus import ours
from .errors import CondorError
from .errors import EventIdTaken
from .errors import shorten_repr
from .event import Event
from .failures import Failed
from .failures import add_failures
from .kept_lines import KeptLines
from .kept_lines import add_lines
from .models import deliveries
from .models import events
from .payload import to_json
from .rates import Finished
from .rates import add_runs
from .recording import SHOWN
from .recording import Json
from .recording import Kept
from .recording import Recording
from .redacting import redacted
from .redaction import Redaction
from .rows import event_row
from .storable import Failure
from .storable import storable

ROWS_PER_STATEMENT = 200

T = t.TypeVar("T")

encode = msgspec.json.Encoder().encode


class Record(msgspec.Struct, eq=False, gc=False):
    """The rows of one recording."""

    event: dict[str, t.Any]
    awaits_event: bool
    runs: list[dict[str, t.Any]]
    failed: list[tuple[dict[str, t.Any], Failure]]
    """Those of the runs that failed."""
    logged: list[tuple[dict[str, t.Any], str]]
    """Those of the runs that logged anything."""


def record_of(recording: Recording, bus: str, redaction: Redaction | None = None) -> Record:
    """Return the rows of *recording*, on *bus*.

    :param redaction: what takes the secrets out of the payload, when they are not stored.
    """
    payload, is_replayable = describe(recording.payload)
    payload, is_redacted = redacted(payload, redaction)
    event = Event(recording.name, None, recording.id, recording.made_at, recording.origin)
    is_orphan = recording.is_orphan
    row = event_row(event, payload, bus, is_orphan=is_orphan, is_replayable=is_replayable, is_redacted=is_redacted)
    runs = runs_of(recording, bus)
    failed = failed_of(recording, runs) if recording.notes else []
    logged = logged_of(recording, runs) if recording.logged else []
    return Record(row, recording.awaits_event, runs, failed, logged)


def runs_of(recording: Recording, bus: str) -> list[dict[str, t.Any]]:
    runs = []
    started = recording.began
    for step, (entry, ended) in enumerate(zip(recording.entries, recording.ends, strict=True)):
        note = recording.notes.get(step)
        if entry is not None:
            runs.append(
                {
                    "event_id": recording.id,
                    "job": entry[0],
                    "run": entry[1],
                    "state": "done" if note is None or note.error is None else "dead",
                    "due_at": recording.wall + started,
                    "started_at": recording.wall + started,
                    "finished_at": recording.wall + ended,
                    "error": None if note is None else note.error,
                    "result": None if note is None or note.result is None else describe(note.result)[0],
                    "bus": bus,
                }
            )
        started = ended if note is None else note.noted_at
    return runs


def failed_of(recording: Recording, runs: Sequence[dict[str, t.Any]]) -> list[tuple[dict[str, t.Any], Failure]]:
    notes = of_steps(recording, runs, recording.notes)
    return [(run, note.failure) for run, note in notes if note.failure is not None]


def logged_of(recording: Recording, runs: Sequence[dict[str, t.Any]]) -> list[tuple[dict[str, t.Any], str]]:
    logged = of_steps(recording, runs, recording.logged or {})
    return [(run, lines.text) for run, lines in logged if lines.text is not None]


def of_steps(
    recording: Recording, runs: Sequence[dict[str, t.Any]], told: Mapping[int, T]
) -> Iterator[tuple[dict[str, t.Any], T]]:
    """Yield each run with what is told of its step, where anything is."""
    steps = [step for step, entry in enumerate(recording.entries) if entry is not None]
    return ((run, told[step]) for step, run in zip(steps, runs, strict=True) if step in told)


def describe(kept: Kept) -> tuple[str, bool]:
    """Return what was kept as JSON text, and whether that gives it back; else the text holds its ``repr``."""
    if isinstance(kept, Json):
        return str(kept), True
    if isinstance(kept, str):
        return encode(storable(kept)).decode(), False
    value = marshal.loads(kept)
    try:
        return to_json(value), True
    except CondorError:
        return encode(storable(shorten_repr(value, SHOWN))).decode(), False


def write(connection: Connection, records: Sequence[Record]) -> Container[str]:
    """Write *records*, in the transaction of *connection*, save those whose event is to be there and is not.

    Returns the ids of those events.

    :raises EventIdTaken: for an event whose id is that of one on another bus.
    """
    insert = insert_by_json if connection.dialect.name == "postgresql" else insert_by_values
    fired = [record.event for record in records if not record.awaits_event]
    refuse_other_buses(connection, fired, insert(connection, EVENTS, fired))
    early = ids_not_there(connection, [record.event["id"] for record in records if record.awaits_event])
    written = [record for record in records if not record.awaits_event or record.event["id"] not in early]
    runs = sorted((run for record in written for run in record.runs), key=itemgetter("started_at"))
    insert(connection, RUNS, runs)
    note_failures(connection, written)
    keep_logged(connection, written)
    add_runs(connection, [finished(record.event["name"], run) for record in written for run in record.runs])
    return early


def note_failures(connection: Connection, written: Sequence[Record]) -> None:
    """Keep the runs that failed, and tell their rows to which failure they belong."""
    failed = [(record.event["name"], *one) for record in written for one in record.failed]
    if not failed:
        return
    numbers = numbers_of(connection, [run for _, run, _ in failed])
    attempts = [
        Failed(number, 1, name, run["job"], "dead", None, run["started_at"], run["finished_at"], failure)
        for name, run, failure in failed
        if (number := numbers.get(identity_of(run))) is not None
    ]
    groups = add_failures(connection, attempts)
    values = [{"of": one.delivery, "failure": group} for one, group in zip(attempts, groups, strict=True)]
    telling = update(deliveries).where(deliveries.c.id == bindparam("of"))
    connection.execute(telling.values(failure_id=bindparam("failure")), values)


def keep_logged(connection: Connection, written: Sequence[Record]) -> None:
    """Keep what runs logged."""
    logged = [one for record in written for one in record.logged]
    if not logged:
        return
    numbers = numbers_of(connection, [run for run, _ in logged])
    found = [(numbers.get(identity_of(run)), run["finished_at"], lines) for run, lines in logged]
    add_lines(connection, [KeptLines(number, ended, lines) for number, ended, lines in found if number is not None])


Identity = tuple[str, str, float]


def identity_of(run: dict[str, t.Any]) -> Identity:
    return run["event_id"], run["job"], run["started_at"]


def numbers_of(connection: Connection, runs: Sequence[dict[str, t.Any]]) -> dict[Identity, int]:
    """Return the numbers of the rows of *runs*, looked up, as asking for those of all inserted would cost time."""
    identity = deliveries.c.event_id, deliveries.c.job, deliveries.c.started_at
    found = select(deliveries.c.id, *identity).where(deliveries.c.event_id.in_({run["event_id"] for run in runs}))
    return {(row.event_id, row.job, row.started_at): row.id for row in connection.execute(found)}


def ids_not_there(connection: Connection, ids: Sequence[str]) -> set[str]:
    if not ids:
        return set()
    return set(ids) - set(connection.scalars(select(events.c.id).where(ours(connection, events), events.c.id.in_(ids))))


def refuse_other_buses(connection: Connection, rows: Sequence[dict[str, t.Any]], inserted: int) -> None:
    if inserted == len(rows):
        return
    names = {row["id"]: row["name"] for row in rows}
    others = select(events.c.id, events.c.bus).where(events.c.id.in_(names), ~ours(connection, events))
    for id, bus in connection.execute(others.limit(1)):
        raise EventIdTaken(id, f"of bus {bus!r}", names[id])


def finished(name: str, run: dict[str, t.Any]) -> Finished:
    return Finished(name, run["job"], run["state"], run["finished_at"], run["finished_at"] - run["started_at"])


class Insertion(msgspec.Struct, frozen=True):
    """How rows of one kind are inserted."""

    table: str
    columns: tuple[str, ...]
    """Those whose values the rows have, in their order."""
    constants: dict[str, str]
    rest: str

    def statement(self, values: str) -> str:
        return f"INSERT INTO {self.table} ({', '.join([*self.columns, *self.constants])}) {values} {self.rest}"


EVENTS = Insertion(events.name, tuple(events.columns.keys()), {}, "ON CONFLICT (id) DO NOTHING")
RUNS = Insertion(
    deliveries.name,
    ("event_id", "job", "run", "state", "due_at", "started_at", "finished_at", "error", "result", "bus"),
    {"queue": "'default'", "priority": "0", "attempt": "1", "losses": "0"},
    "",
)


def insert_by_values(connection: Connection, into: Insertion, rows: Sequence[dict[str, t.Any]]) -> int:
    """Insert *rows*, and return how many were new.

    Many by one statement: SQLite then works for long without Python's global lock. One per row would ask for that lock
    after each, against the threads that serve requests.
    """
    one = f"({', '.join(['?'] * len(into.columns) + [*into.constants.values()])})"
    count = 0
    for start in range(0, len(rows), ROWS_PER_STATEMENT):
        part = rows[start : start + ROWS_PER_STATEMENT]
        statement = into.statement(f"VALUES {', '.join([one] * len(part))}")
        values = tuple(chain.from_iterable(row.values() for row in part))
        count += connection.exec_driver_sql(statement, values).rowcount
    return count


def insert_by_json(connection: Connection, into: Insertion, rows: Sequence[dict[str, t.Any]]) -> int:
    """Do the same as one JSON text, which takes psycopg a tenth of the time that the values of *rows* would take."""
    if not rows:
        return 0
    columns = ", ".join([*into.columns, *into.constants.values()])
    source = f"json_populate_recordset(NULL::{into.table}, CAST(:rows AS json))"
    statement = text(into.statement(f"SELECT {columns} FROM {source}"))
    return connection.execute(statement, {"rows": encode(rows).decode()}).rowcount
