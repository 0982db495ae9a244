"""The records: what ran in this process, as it is kept until it is written, and the statements that write it."""

from __future__ import annotations

import traceback
import typing as t
from collections.abc import Sequence

import msgspec
from sqlalchemy import TextClause
from sqlalchemy import select
from sqlalchemy import text
from sqlalchemy.engine import Connection

from .errors import CondorError
from .errors import shorten_repr
from .models import events
from .payload import to_json
from .rates import Finished
from .rates import add_runs

if t.TYPE_CHECKING:
    from .job import Run

LONGEST_JSON = 256 * 1024
"""Characters of a payload or a result beyond which only its beginning is kept."""
LONGEST_ERROR = 8 * 1024
SHOWN = 1000
"""Characters of the ``repr`` of what JSON cannot hold."""

encode = msgspec.json.Encoder().encode


class RunOfJob(msgspec.Struct):
    """One run of a job that was not queued, as its delivery will tell; its fields are columns of the deliveries."""

    event_id: str
    job: str
    run: Run
    state: t.Literal["done", "dead"]
    started_at: float
    finished_at: float
    error: str | None
    result: str | None


class Record(msgspec.Struct, eq=False):
    """One fire of an event, or one run of a job of it that was put off.

    :param row: the event, by the columns of its table.
    :param is_queued: whether the row is written by who queued the event's other jobs, in a transaction that may yet
        be rolled back. The recorder must not write it then: an event whose id is there is not queued again.
    """

    row: dict[str, t.Any]
    is_queued: bool
    runs: list[RunOfJob]

    def size(self) -> int:
        """Return how many characters of payload, errors and results it holds."""
        size = len(self.row["payload"])
        for run in self.runs:
            size += len(run.error or "") + len(run.result or "")
        return size


def describe(value: object) -> tuple[str, bool]:
    """Return *value* as JSON text, and whether that gives it back; else the text holds the beginning of its ``repr``.

    Never raises: what a job was given, or returned, may be anything.
    """
    try:
        found = to_json(value)
        if len(found) <= LONGEST_JSON:
            return found, True
    except CondorError:
        pass
    return encode(without_surrogates(shorten_repr(value, SHOWN))).decode(), False


def describe_error(error: BaseException) -> str:
    """Return the traceback of *error*, its middle left out when it is long; never raises."""
    try:
        lines = "".join(traceback.format_exception(error))
    except Exception:  # an exception may be broken in any part, and must not hide the failure it tells of
        lines = f"{type(error).__name__}, which could not be shown"
    if len(lines) > LONGEST_ERROR:
        half = LONGEST_ERROR // 2
        lines = f"{lines[:half]}\n[...]\n{lines[-half:]}"
    return without_surrogates(lines).replace("\0", "\N{REPLACEMENT CHARACTER}")


def without_surrogates(text: str) -> str:
    return text.encode(errors="replace").decode()


def write(connection: Connection, records: Sequence[Record]) -> list[Record]:
    """Write *records*, in the transaction of *connection*; return those whose event is not there yet.

    The rows are handed over as one JSON text, so that almost all of the work is the database's and, with SQLite, done
    without Python's global lock.
    """
    early = not_yet_there(connection, [record for record in records if record.is_queued])
    written = [record for record in records if record not in early] if early else records
    insert_events, insert_runs = STATEMENTS[connection.dialect.name]
    insert(connection, insert_events, [record.row for record in written if not record.is_queued])
    insert(connection, insert_runs, [run for record in written for run in record.runs])
    add_runs(connection, [finished(record.row["name"], run) for record in written for run in record.runs])
    return early


def not_yet_there(connection: Connection, records: Sequence[Record]) -> list[Record]:
    if not records:
        return []
    ids = [record.row["id"] for record in records]
    there = set(connection.scalars(select(events.c.id).where(events.c.id.in_(ids))))
    return [record for record in records if record.row["id"] not in there]


def insert(connection: Connection, statement: TextClause, rows: Sequence[object]) -> None:
    if rows:
        connection.execute(statement, {"rows": encode(rows).decode()})


def finished(name: str, run: RunOfJob) -> Finished:
    return Finished(name, run.job, run.state, run.finished_at, run.finished_at - run.started_at)


def insert_statement(table: str, given: Sequence[str], fixed: dict[str, str], rest: str, *, is_sqlite: bool) -> str:
    shown = [f"json_extract(value, '$.{column}')" if is_sqlite else column for column in given]
    source = "json_each(:rows)" if is_sqlite else f"json_populate_recordset(NULL::{table}, CAST(:rows AS json))"
    columns, values = ", ".join([*given, *fixed]), ", ".join([*shown, *fixed.values()])
    return f"INSERT INTO {table} ({columns}) SELECT {values} FROM {source} WHERE {rest}"


def statements(*, is_sqlite: bool) -> tuple[TextClause, TextClause]:
    columns = [column.name for column in events.columns]
    event = insert_statement("condor_events", columns, {}, "true ON CONFLICT (id) DO NOTHING", is_sqlite=is_sqlite)
    started = "json_extract(value, '$.started_at')" if is_sqlite else "started_at"
    fixed = {"queue": "'default'", "priority": "0", "due_at": started, "attempt": "1", "losses": "0"}
    run = insert_statement("condor_deliveries", RunOfJob.__struct_fields__, fixed, "true", is_sqlite=is_sqlite)
    return text(event), text(run)


STATEMENTS = {"sqlite": statements(is_sqlite=True), "postgresql": statements(is_sqlite=False)}
