"""LogUnavailable: what a queued fire does when its database is locked, read-only, full, gone or none at all."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor import database as database_module
from flask_condor.database import explained
from flask_condor.database import open_database
from flask_condor.errors import EventIdTaken
from flask_condor.errors import LogUnavailable
from flask_condor.errors import SchemaMismatch
from flask_condor.log import Log
from flask_condor.models import deliveries
from flask_condor.models import events
from flask_condor.models import metadata
from flask_condor.schema import upgrade
from sqlalchemy import Engine
from sqlalchemy import create_engine
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy import func
from sqlalchemy import make_url
from sqlalchemy import select
from sqlalchemy import text
from sqlalchemy.exc import PendingRollbackError
from sqlalchemy.orm import Session

from tests.conftest import MakeJob
from tests.databases import accepted
from tests.databases import new_database
from tests.ports import kept_port
from tests.test_joining import Base
from tests.test_joining import Order
from tests.test_joining import begin_by_hand
from tests.test_joining import job
from tests.test_joining import orders_in

HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


def other_job(event: Event[Any], ctx: Context) -> None:
    raise AssertionError("only a worker runs it")


def stored_in(engine: Engine) -> tuple[int, int]:
    """Return how many events and deliveries there are."""
    with engine.connect() as connection:
        counts = [connection.scalar(select(func.count()).select_from(table)) for table in (events, deliveries)]
    return counts[0] or 0, counts[1] or 0


@contextmanager
def held_by_another_process(path: Path) -> Iterator[None]:
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin and holder.stdout
        assert holder.stdout.readline() == b"held\n"
        yield
        holder.stdin.close()


def manager_at(url: str, make_job: MakeJob) -> EventsManager:
    app = Flask("test")
    app.config.update(CONDOR_DATABASE_URL=url, CONDOR_LOG="queued")
    Condor(app)
    manager: EventsManager = app.extensions["condor"]
    manager.register("x", make_job("first"))
    manager.register("x", job, run="queued")
    manager.register("x", make_job("last"))
    return manager


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
def manager(path: Path, make_job: MakeJob) -> Iterator[EventsManager]:
    """One whose log works, and holds one event."""
    manager = manager_at(f"sqlite:///{path}", make_job)
    manager.fire(Event("x"))
    yield manager
    manager.log.engine.dispose()


@pytest.fixture
def engine(path: Path) -> Iterator[Engine]:
    engine = create_engine(f"sqlite:///{path}")
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


@contextmanager
def refused(manager: EventsManager, ran: list[Any], told: str, session: Session | None = None) -> Iterator[None]:
    """Fire, and look that the fire raises with this text, and that the other jobs have run."""
    ran.clear()
    with pytest.raises(LogUnavailable, match=told):
        manager.fire(Event("x"), session=session)
    assert ran == ["first", "last"]
    yield


# --- the log's own transaction


def test_a_database_that_stays_locked(
    manager: EventsManager, path: Path, ran: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "BUSY", 0.3)

    with held_by_another_process(path), refused(manager, ran, "event x was not accepted: the database stayed locked"):
        pass
    assert accepted(manager) == ["x"]
    manager.fire(Event("x"))

    assert accepted(manager) == ["x", "x"]


def test_a_lock_that_goes_in_time_only_delays(manager: EventsManager, path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER.replace("sys.stdin.read()", "import time; time.sleep(1)"), str(path)],
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout and holder.stdout.readline() == b"held\n"
        manager.fire(Event("x"))

    assert accepted(manager) == ["x", "x"]


@pytest.mark.parametrize("options", ["mode=ro", "immutable=1&mode=ro"])
def test_a_database_that_may_only_be_read(
    manager: EventsManager, path: Path, make_job: MakeJob, ran: list[Any], options: str
) -> None:
    manager.log.engine.dispose()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    readonly = manager_at(f"sqlite:///file:{path}?{options}&uri=true", make_job)

    with refused(readonly, ran, "event x was not accepted: the database may not be written"):
        pass
    readonly.log.engine.dispose()


def test_a_database_that_has_become_read_only(manager: EventsManager, ran: list[Any]) -> None:
    @sqlalchemy_event.listens_for(manager.log.engine, "checkout")
    def only_read(connection: Any, *_: Any) -> None:
        connection.execute("PRAGMA query_only = 1")

    with refused(manager, ran, "event x was not accepted: the database may not be written"):
        pass


def test_a_full_database(manager: EventsManager, ran: list[Any]) -> None:
    @sqlalchemy_event.listens_for(manager.log.engine, "checkout")
    def fill(connection: Any, *_: Any) -> None:
        connection.execute("PRAGMA max_page_count = 1")

    ran.clear()
    with pytest.raises(LogUnavailable, match="event x was not accepted: the disk is full"):
        for _ in range(200):
            manager.fire(Event("x", "long" * 100))
            ran.clear()
    assert ran == ["first", "last"]

    sqlalchemy_event.remove(manager.log.engine, "checkout", fill)
    manager.log.engine.dispose()
    manager.fire(Event("x"))


def test_a_folder_that_is_a_file(tmp_path: Path, make_job: MakeJob, ran: list[Any]) -> None:
    (tmp_path / "folder").write_text("a file")
    manager = manager_at(f"sqlite:///{tmp_path}/folder/log.db", make_job)

    with refused(
        manager, ran, f"event x was not accepted: the folder {tmp_path}/folder cannot be made: File exists. Give"
    ):
        pass


def test_a_folder_that_may_not_be_written_to_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    engine = open_database(make_url(f"sqlite:///{tmp_path}/log.db"))
    reader, writer = os.pipe()

    child = os.fork()
    if child == 0:
        if os.geteuid() == 0:
            os.setuid(65534)
        try:
            with explained("nothing was read"), engine.connect():
                os._exit(1)
        except LogUnavailable as error:
            os.write(writer, str(error).encode())
        os._exit(0)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    told = os.read(reader, 4096).decode()
    assert told.startswith(
        f"nothing was read: the folder {tmp_path} may not be written to by this user. Give this user"
    )
    os.close(reader)
    os.close(writer)


def test_a_database_that_another_writes_to_can_be_read_at_once(
    manager: EventsManager, path: Path, make_job: MakeJob
) -> None:
    fresh = manager_at(f"sqlite:///{path}", make_job)

    with held_by_another_process(path):
        assert accepted(fresh) == ["x"]

    fresh.log.engine.dispose()


def test_tables_that_were_dropped_under_a_running_app(database_url: str, make_job: MakeJob, ran: list[Any]) -> None:
    manager = manager_at(database_url, make_job)
    manager.fire(Event("x"))
    with manager.log.begin() as connection:
        metadata.drop_all(connection)

    with refused(manager, ran, "event x was not accepted: table condor_events is gone: it was dropped, or this is ano"):
        pass
    with explained("the tables were not made"), manager.log.engine.begin() as connection:
        upgrade(connection)
    manager.fire(Event("x"))

    assert accepted(manager) == ["x"]
    manager.log.engine.dispose()


def test_tables_without_a_column_that_was_added_since(database_url: str, make_job: MakeJob) -> None:
    manager = manager_at(database_url, make_job)
    with manager.log.begin() as connection:
        connection.execute(text("ALTER TABLE condor_events DROP COLUMN subject"))

    with pytest.raises(LogUnavailable) as refusal:
        event_of_id(manager, "1")
    with explained("the tables were not changed"), manager.log.engine.begin() as connection:
        upgrade(connection)
    manager.fire(Event("x"))

    assert "its tables are older than this code: " in str(refusal.value)
    assert str(refusal.value).endswith("Run `flask events db upgrade` once, while no worker runs.")
    assert accepted(manager) == ["x"]
    manager.log.engine.dispose()


def event_of_id(manager: EventsManager, id: str) -> object:
    with manager.log.read() as connection:
        return connection.execute(select(events.c.subject).where(events.c.id == id)).one_or_none()


def test_a_folder_that_is_gone(tmp_path: Path, make_job: MakeJob, ran: list[Any]) -> None:
    folder = tmp_path / "folder"
    manager = manager_at(f"sqlite:///{folder}/log.db", make_job)
    manager.fire(Event("x"))
    manager.log.engine.dispose()
    shutil.rmtree(folder)

    with refused(
        manager, ran, "event x was not accepted: the database file .*log.db was deleted or moved while in use"
    ):
        pass
    folder.mkdir()
    with refused(manager, ran, "event x was not accepted: "):
        pass


def test_a_file_that_is_no_database(path: Path, make_job: MakeJob, ran: list[Any]) -> None:
    path.write_bytes(b"no database at all" * 100)
    manager = manager_at(f"sqlite:///{path}", make_job)

    with refused(manager, ran, "event x was not accepted: the file is no SQLite database"):
        pass
    assert path.read_bytes() == b"no database at all" * 100


def test_a_server_that_is_gone(make_job: MakeJob, ran: list[Any]) -> None:
    pytest.importorskip("psycopg")
    with kept_port() as port:
        manager = manager_at(f"postgresql+psycopg://postgres@127.0.0.1:{port}/gone", make_job)
        engine = create_engine(manager.config.database_url or "")

        with refused(manager, ran, "event x was not accepted: OperationalError: .*refused"):
            pass
        with Session(engine) as session, refused(manager, ran, "event x was not accepted: OperationalError", session):
            pass


@pytest.mark.parametrize("joined", [True, False])
def test_tables_of_a_newer_version(database_url: str, make_job: MakeJob, ran: list[Any], joined: bool) -> None:
    older = manager_at(database_url, make_job)
    older.fire(Event("x"))
    with older.log.begin() as connection:
        connection.execute(text("UPDATE condor_schema SET version = 99"))
    manager = manager_at(database_url, make_job)
    engine = create_engine(database_url)
    Base.metadata.create_all(engine)

    ran.clear()
    with Session(engine) as session:
        session.add(Order())
        with pytest.raises(SchemaMismatch, match="are of version 99, and this code needs"):
            manager.fire(Event("x"), session=session if joined else None)
        session.commit()

    assert ran == ["first", "last"]
    assert orders_in(engine) == 1
    assert accepted(older) == ["x"]
    for each in (engine, older.log.engine, manager.log.engine):
        each.dispose()


# --- the caller's transaction


def test_a_transaction_that_has_read_is_told_so_at_once_and_goes_on(
    manager: EventsManager, path: Path, engine: Engine, ran: list[Any]
) -> None:
    begin_by_hand(engine)
    engine.dispose()

    with Session(engine) as session:
        assert orders_in_session(session) == 0
        with (
            held_by_another_process(path),
            refused(manager, ran, "SQLite does not wait for a transaction that has read before it writes", session),
        ):
            pass
        session.add(Order())
        manager.fire(Event("x"), session=session)
        session.commit()

    assert orders_in(engine) == 1
    assert accepted(manager) == ["x", "x"]


def orders_in_session(session: Session) -> int:
    return len(session.scalars(text("SELECT id FROM orders")).all())


@pytest.mark.parametrize("begun_by_hand", [True, False])
def test_a_transaction_that_has_not_read_waits(
    manager: EventsManager, path: Path, engine: Engine, begun_by_hand: bool, make_job: MakeJob
) -> None:
    if begun_by_hand:
        begin_by_hand(engine)
        engine.dispose()
    fresh = manager_at(f"sqlite:///{path}", make_job)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER.replace("sys.stdin.read()", "import time; time.sleep(1)"), str(path)],
        stdout=subprocess.PIPE,
    )

    with holder, Session(engine) as session:
        assert holder.stdout and holder.stdout.readline() == b"held\n"
        fresh.fire(Event("x"), session=session)
        session.commit()
    fresh.log.engine.dispose()

    assert accepted(manager) == ["x", "x"]


def test_a_transaction_that_finds_the_database_locked_goes_on(
    manager: EventsManager, path: Path, engine: Engine, ran: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "BUSY", 0.3)

    with Session(engine) as session:
        with held_by_another_process(path), refused(manager, ran, "stayed locked", session):
            pass
        session.add(Order())
        session.commit()

    assert orders_in(engine) == 1
    assert accepted(manager) == ["x"]


@pytest.mark.parametrize("in_savepoint", [True, False])
def test_a_transaction_that_a_full_disk_has_ended_cannot_be_committed_as_if_nothing_were(
    manager: EventsManager, engine: Engine, ran: list[Any], in_savepoint: bool
) -> None:
    with Session(engine) as session:
        session.add(Order())
        session.flush()
        if in_savepoint:
            session.begin_nested()
        session.execute(text("PRAGMA max_page_count = 1"))
        with pytest.raises(LogUnavailable, match="the disk is full"):
            for _ in range(200):
                manager.fire(Event("x", "long" * 100), session=session)
        with pytest.raises(PendingRollbackError):
            session.commit()
        session.rollback()
        session.add(Order())
        session.commit()

    assert orders_in(engine) == 1
    assert accepted(manager) == ["x"]


@contextmanager
def refusing(engine: Engine, *whats: str) -> Iterator[None]:
    """Let SQLite refuse some statements, such as "DELETE ON condor_events", until the ``with`` block ends."""
    with engine.begin() as connection:
        for number, what in enumerate(whats):
            refusal = "BEGIN SELECT RAISE(ABORT, 'not today'); END"
            connection.execute(text(f"CREATE TRIGGER refusal{number} BEFORE {what} {refusal}"))
    yield
    with engine.begin() as connection:
        for number in range(len(whats)):
            connection.execute(text(f"DROP TRIGGER refusal{number}"))


SECOND_JOB = "INSERT ON condor_deliveries WHEN NEW.job LIKE '%other_job'"


@pytest.mark.parametrize("in_savepoint", [True, False])
def test_an_event_of_which_sqlite_refuses_a_delivery_is_taken_back_and_the_transaction_goes_on(
    manager: EventsManager, engine: Engine, ran: list[Any], in_savepoint: bool
) -> None:
    manager.register("x", other_job, run="queued")

    with refusing(engine, SECOND_JOB), Session(engine) as session:
        session.add(Order())
        if in_savepoint:
            session.begin_nested()
        with refused(manager, ran, "event x was not accepted: .*not today", session):
            session.add(Order())
        session.commit()

    assert orders_in(engine) == 2
    assert stored_in(engine) == (1, 1)


def test_an_event_that_was_there_before_is_not_taken_back_with_one_that_is_refused(
    manager: EventsManager, engine: Engine
) -> None:
    manager.register("y", job, run="queued")

    with Session(engine) as session:
        manager.emit("x", id="order-1", session=session)
        with pytest.raises(EventIdTaken):
            manager.emit("y", id="order-1", session=session)
        session.commit()

    assert accepted(manager) == ["x", "x"]


def test_a_transaction_in_which_half_an_event_would_be_left_cannot_be_committed(
    manager: EventsManager, engine: Engine, ran: list[Any]
) -> None:
    manager.register("x", other_job, run="queued")

    with refusing(engine, SECOND_JOB, "DELETE ON condor_events"), Session(engine) as session:
        session.add(Order())
        session.flush()
        with (
            refused(manager, ran, "event x was not accepted: .*not today", session),
            pytest.raises(PendingRollbackError),
        ):
            session.commit()

    assert orders_in(engine) == 0
    assert stored_in(engine) == (1, 1)


@pytest.mark.parametrize("in_savepoint", [True, False])
def test_a_statement_that_postgresql_refuses_leaves_the_transaction_usable(
    tmp_path: Path, make_job: MakeJob, ran: list[Any], in_savepoint: bool
) -> None:
    with new_database("postgresql", tmp_path) as url:
        manager = manager_at(url, make_job)
        manager.fire(Event("x"))
        with manager.log.begin() as connection:
            connection.execute(
                text("ALTER TABLE condor_deliveries ADD CHECK (job <> 'tests.test_joining:job') NOT VALID")
            )
        engine = create_engine(url)
        Base.metadata.create_all(engine)

        with Session(engine) as session:
            session.add(Order())
            if in_savepoint:
                session.begin_nested()
            with refused(manager, ran, "event x was not accepted: .*check constraint", session):
                session.add(Order())
            session.commit()

        assert orders_in(engine) == 2
        assert accepted(manager) == ["x"]
        engine.dispose()
        manager.log.engine.dispose()


def test_a_view_whose_event_cannot_be_accepted_answers_503(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    app = Flask("test", instance_path=str(tmp_path))
    app.config["CONDOR_DATABASE_URL"] = "sqlite:////proc/nothing/condor.db"
    Condor(app)
    app.extensions["condor"].register("x", job, run="queued")

    @app.get("/")
    def view() -> str:
        app.extensions["condor"].fire(Event("x"))
        return "accepted"

    answer = app.test_client().get("/")

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "event x was not accepted" in caplog.text
    assert "accepted" not in answer.text


def test_a_file_that_was_deleted_in_use_accepts_nothing_more_and_a_new_one_does(
    app: Flask, events_manager: EventsManager
) -> None:
    events_manager.register("x", job, run="queued")
    events_manager.fire(Event("x"))
    path = Path(app.instance_path, "condor.db")

    for file in Path(app.instance_path).glob("condor.db*"):
        file.unlink()
    with pytest.raises(LogUnavailable, match="condor.db was deleted or moved while in use. Restore it, or restart"):
        events_manager.fire(Event("x"))
    assert not path.exists()
    new = Log(app, events_manager.config)
    with new.begin():
        pass
    events_manager.fire(Event("x"))

    assert len(accepted(events_manager)) == 1
    new.engine.dispose()
