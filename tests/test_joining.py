"""Which transaction a queued event is written in, and what becomes of it when that ends: on SQLite and PostgreSQL."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor import ctx
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Engine
from sqlalchemy import create_engine
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy import func
from sqlalchemy import inspect
from sqlalchemy import select
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import Session
from sqlalchemy.orm import mapped_column
from sqlalchemy.orm import scoped_session
from sqlalchemy.orm import sessionmaker

from tests.databases import accepted
from tests.databases import new_database


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)


NewManager = Callable[..., EventsManager]


def job(event: Event[Any], ctx: Context) -> None:
    raise AssertionError("only a worker runs it")


def begin_by_hand(engine: Engine) -> None:
    """SQLAlchemy's recipe for SAVEPOINTs in SQLite: sqlite3 itself begins no transaction before one."""

    @sqlalchemy_event.listens_for(engine, "connect")
    def leave_begin_to_us(connection: Any, record: Any) -> None:
        connection.isolation_level = None

    @sqlalchemy_event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN")


@pytest.fixture(params=["sqlite", "sqlite begun by hand", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def database_url(kind: str, tmp_path: Path) -> Iterator[str]:
    with new_database(kind.partition(" ")[0], tmp_path) as url:
        yield url


@pytest.fixture
def engine(kind: str, database_url: str) -> Iterator[Engine]:
    """The app's own engine, on SQLite also with SQLAlchemy's recipe for SAVEPOINTs."""
    engine = create_engine(database_url)
    if kind == "sqlite begun by hand":
        begin_by_hand(engine)
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def new_manager() -> Iterator[NewManager]:
    made: list[EventsManager] = []

    def make(url: str | None = None, session: Any = None, **settings: Any) -> EventsManager:
        app = Flask("test")
        app.config.update(settings, CONDOR_DATABASE_URL=url, CONDOR_LOG="queued")
        Condor(app, session=session)
        manager: EventsManager = app.extensions["condor"]
        manager.register("x", job, run="queued")
        made.append(manager)
        return manager

    yield make
    for manager in made:
        manager.log.engine.dispose()


@pytest.fixture
def manager(new_manager: NewManager, database_url: str) -> EventsManager:
    return new_manager(database_url)


def orders_in(engine: Engine) -> int:
    with Session(engine) as session:
        return session.scalar(select(func.count()).select_from(Order)) or 0


def errors_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


# --- which end of which transaction


@pytest.mark.parametrize("fires", ["first", "last"])
def test_the_event_is_there_with_the_app_s_own_rows_or_not_at_all(
    manager: EventsManager, engine: Engine, fires: str
) -> None:
    assert accepted(manager) == []

    for end in ("commit", "rollback", "commit"):
        with Session(engine) as session:
            if fires == "first":
                manager.fire(Event("x"), session=session)
            session.add(Order())
            session.flush()
            if fires == "last":
                manager.fire(Event("x"), session=session)
            assert len(accepted(manager)) == orders_in(engine)
            getattr(session, end)()

    assert accepted(manager) == ["x", "x"]
    assert orders_in(engine) == 2


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_a_savepoint_takes_its_events_with_it(manager: EventsManager, engine: Engine, end: str) -> None:
    manager.register("inside", job, run="queued")
    manager.register("after", job, run="queued")

    with Session(engine) as session:
        session.add(Order())
        manager.fire(Event("x"), session=session)
        nested = session.begin_nested()
        session.add(Order())
        manager.fire(Event("inside"), session=session)
        getattr(nested, end)()
        manager.fire(Event("after"), session=session)
        session.commit()

    assert accepted(manager) == (["x", "inside", "after"] if end == "commit" else ["x", "after"])
    assert orders_in(engine) == (2 if end == "commit" else 1)


def test_the_release_of_a_savepoint_is_no_commit(manager: EventsManager, engine: Engine) -> None:
    with Session(engine) as session:
        session.add(Order())
        with session.begin_nested():
            manager.fire(Event("x"), session=session)
        session.rollback()

    assert accepted(manager) == []
    assert orders_in(engine) == 0


def test_a_fire_that_is_the_first_statement_is_rolled_back_too(manager: EventsManager, engine: Engine) -> None:
    manager.fire(Event("x"))

    with Session(engine) as session:
        manager.fire(Event("x"), session=session)
        session.rollback()
        manager.fire(Event("x"), session=session)
        manager.fire(Event("x"), session=session)
        session.rollback()

    assert accepted(manager) == ["x"]


def test_a_savepoint_before_any_statement_ends_the_same_for_the_event_and_the_app_s_rows(
    manager: EventsManager, engine: Engine
) -> None:
    manager.fire(Event("x"))

    with Session(engine) as session:
        with session.begin_nested():
            session.add(Order())
            session.flush()
            manager.fire(Event("x"), session=session)
        session.rollback()

    assert len(accepted(manager)) - 1 == orders_in(engine)


def test_a_forgotten_commit_is_an_error_that_names_the_line(
    manager: EventsManager, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    def forget(session: Session) -> None:
        manager.fire(Event("x"), session=session)

    with Session(engine) as session:
        session.add(Order())
        forget(session)

    place = f"{__file__}:{forget.__code__.co_firstlineno + 1}"
    assert errors_in(caplog) == [
        f"event x fired at {place} was never committed: call commit(). What was to follow from it is dropped."
    ]
    assert accepted(manager) == []


def test_sessions_that_are_open_at_once_are_told_apart(manager: EventsManager, engine: Engine) -> None:
    manager.register("y", job, run="queued")
    manager.fire(Event("x"))
    with Session(engine) as one:
        one.add(Order())
        manager.fire(Event("x"), session=one)
        with Session(engine) as idle:
            assert not idle.in_transaction()
            one.rollback()
            idle.add(Order())
            manager.fire(Event("y"), session=idle)
            idle.commit()

    assert accepted(manager) == ["x", "y"]


def test_two_sessions_of_postgresql_write_at_once(manager: EventsManager, engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    manager.register("y", job, run="queued")

    with Session(engine) as one, Session(engine) as other:
        manager.fire(Event("x"), session=one)
        manager.fire(Event("y"), session=other)
        other.commit()
        assert accepted(manager) == ["y"]
        one.rollback()

    assert accepted(manager) == ["y"]


def test_many_events_of_one_transaction_come_with_its_commit(manager: EventsManager, engine: Engine) -> None:
    with Session(engine) as session:
        for _ in range(50):
            manager.fire(Event("x"), session=session)
            session.add(Order())
        session.commit()

    assert accepted(manager) == ["x"] * 50


# --- the first fire ever


@pytest.mark.parametrize("wrote_before", [True, False])
def test_the_first_fire_ever_makes_the_tables_within_the_caller_s_transaction(
    manager: EventsManager, engine: Engine, wrote_before: bool
) -> None:
    for end in ("rollback", "commit", "commit"):
        with Session(engine) as session:
            if wrote_before:
                session.add(Order())
                session.flush()
            manager.fire(Event("x"), session=session)
            getattr(session, end)()

    assert accepted(manager) == ["x", "x"]


def test_the_first_fire_alone_works_after_one_that_was_rolled_back(manager: EventsManager, engine: Engine) -> None:
    with Session(engine) as session:
        manager.fire(Event("x"), session=session)
        manager.fire(Event("x"), session=session)
        session.rollback()
    manager.fire(Event("x"))

    assert accepted(manager) == ["x"]


def test_the_tables_are_looked_for_once_also_in_a_process_that_has_one_connection(
    manager: EventsManager, engine: Engine
) -> None:
    statements: list[str] = []
    for _ in range(2):
        with Session(engine) as session:
            manager.fire(Event("x"), session=session)
            session.commit()
    sqlalchemy_event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2]))

    with Session(engine) as session:
        manager.fire(Event("x"), session=session)
        session.commit()

    assert [text for text in statements if "condor_schema" in text or "sqlite_master" in text] == []


# --- which session


def test_the_scoped_session_given_to_condor_is_joined(
    new_manager: NewManager, engine: Engine, database_url: str
) -> None:
    scoped = scoped_session(sessionmaker(engine))
    manager = new_manager(database_url, scoped)

    manager.fire(Event("x"))
    assert accepted(manager) == ["x"]
    assert not scoped.registry.has()
    scoped.add(Order())
    scoped.flush()
    manager.fire(Event("x"))
    scoped.rollback()
    manager.fire(Event("x"))
    scoped.add(Order())
    scoped.flush()
    manager.fire(Event("x"))
    scoped.commit()
    scoped.remove()

    assert accepted(manager) == ["x"] * 3


def test_a_session_that_is_given_is_joined_also_before_its_first_statement(
    manager: EventsManager, engine: Engine
) -> None:
    scoped = scoped_session(sessionmaker(engine))
    by_hand = Session(engine, autobegin=False)

    for session in (scoped, by_hand):
        manager.fire(Event("x"), session=session)
        session.rollback()
        manager.fire(Event("x"), session=session)
        session.commit()
    scoped.remove()

    assert accepted(manager) == ["x", "x"]


@pytest.mark.parametrize("log", ["in it", "elsewhere"])
def test_flask_sqlalchemy_s_session_is_joined(
    database_url: str, tmp_path: Path, log: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = Flask("test")
    app.config["SQLALCHEMY_DATABASE_URI"] = database_url
    if log == "elsewhere":
        app.config["CONDOR_DATABASE_URL"] = f"sqlite:///{tmp_path}/log.db"
    db = SQLAlchemy(app, model_class=Base)
    Condor(app)
    manager: EventsManager = app.extensions["condor"]
    manager.register("x", job, run="queued")
    with app.app_context():
        Base.metadata.create_all(db.engine)

    @app.post("/<end>")
    def view(end: str) -> str:
        db.session.add(Order())
        ctx.events.fire(Event("x"))
        if log == "in it" and db.engine.dialect.name == "postgresql":
            assert accepted(manager) == []
        getattr(db.session, end)()
        return ""

    app.test_client().post("/rollback")
    assert accepted(manager) == []
    app.test_client().post("/commit")
    assert accepted(manager) == ["x"]
    app.test_client().post("/close")
    assert accepted(manager) == ["x"]
    assert len(errors_in(caplog)) == 1
    with app.app_context():
        assert db.session.query(Order).count() == 1
        db.session.remove()
        db.engine.dispose()
    manager.log.engine.dispose()


def test_no_session_is_needed(manager: EventsManager) -> None:
    manager.fire(Event("x"))

    assert accepted(manager) == ["x"]


# --- which database


@pytest.mark.parametrize("other", ["sqlite", "postgresql"])
def test_with_another_database_the_event_is_written_right_after_the_commit(
    new_manager: NewManager, database_url: str, tmp_path: Path, other: str
) -> None:
    if other == "postgresql" and database_url.startswith("sqlite"):
        pytest.skip("the other way round is tried")
    engine = create_engine(f"sqlite:///{tmp_path}/app.db") if other == "sqlite" else create_engine(database_url)
    log = database_url if other == "sqlite" else f"sqlite:///{tmp_path}/log.db"
    Base.metadata.create_all(engine)
    manager = new_manager(log)

    with Session(engine) as session:
        manager.fire(Event("x", "never"), session=session)
        session.rollback()
        manager.fire(Event("x"), session=session)
        session.add(Order())
        assert accepted(manager) == []
        session.commit()
        assert accepted(manager) == ["x"]
    with Session(engine) as session:
        session.add(Order())
        nested = session.begin_nested()
        manager.fire(Event("x"), session=session)
        nested.rollback()
        session.commit()
    engine.dispose()

    assert accepted(manager) == ["x"]


def test_an_event_that_cannot_be_written_after_the_commit_is_told_of(
    new_manager: NewManager, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/app.db")
    Base.metadata.create_all(engine)
    manager = new_manager(f"sqlite:///{tmp_path}/log.db")
    manager.fire(Event("x"))
    manager.log.engine.dispose()
    for path in tmp_path.glob("log.db*"):
        path.unlink()
    (tmp_path / "log.db").write_bytes(b"no database" * 100)

    with Session(engine) as session:
        session.add(Order())
        manager.fire(Event("x"), session=session)
        session.commit()

    assert orders_in(engine) == 1
    [told] = errors_in(caplog)
    assert told.startswith("event x of a committed transaction is lost: event x was not accepted: the file is no SQL")
    engine.dispose()


@pytest.mark.parametrize("way", ["relative", "symlink", "hard link", "uri"])
def test_another_name_of_the_same_file_is_the_same_database(new_manager: NewManager, tmp_path: Path, way: str) -> None:
    path = tmp_path / "app.db"
    from_instance = os.path.relpath(path, Flask("test").instance_path)
    engine = create_engine(f"sqlite:///{path}")
    Base.metadata.create_all(engine)
    url = {"relative": f"sqlite:///{from_instance}", "uri": f"sqlite:///file:{path}?cache=private&uri=true"}.get(way)
    if way == "symlink":
        (tmp_path / "log.db").symlink_to(path)
    elif way == "hard link":
        os.link(path, tmp_path / "log.db")
    manager = new_manager(url or f"sqlite:///{tmp_path}/log.db")

    with Session(engine) as session:
        session.add(Order())
        session.flush()
        manager.fire(Event("x"), session=session)
        assert "condor_events" in inspect(session.connection()).get_table_names()
        session.rollback()
    engine.dispose()

    assert accepted(manager) == []


def test_a_file_that_is_not_there_yet_is_known_again(new_manager: NewManager, tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/new.db")
    manager = new_manager(f"sqlite:///{tmp_path}/new.db")
    seen: list[list[str]] = []

    with Session(engine) as session:
        manager.fire(Event("x"), session=session)
        seen.append(inspect(session.connection()).get_table_names())
        session.rollback()
    engine.dispose()

    assert "condor_events" in seen[0]
    assert accepted(manager) == []


def test_another_database_of_the_same_server_is_another(new_manager: NewManager, database_url: str) -> None:
    if database_url.startswith("sqlite"):
        pytest.skip("of PostgreSQL")
    engine = create_engine(database_url.rpartition("/")[0] + "/postgres")
    manager = new_manager(database_url)

    with Session(engine) as session:
        session.connection()
        manager.fire(Event("x"), session=session)
        assert accepted(manager) == []
        session.commit()
    engine.dispose()

    assert accepted(manager) == ["x"]


def test_a_session_with_a_database_per_model_and_none_by_default_is_waited_for(
    manager: EventsManager, engine: Engine
) -> None:
    with Session(binds={Order: engine}) as session:
        manager.fire(Event("x"), session=session)
        session.rollback()
        session.add(Order())
        manager.fire(Event("x"), session=session)
        session.commit()

    assert accepted(manager) == ["x"]


# --- transactions of another kind


def test_in_autocommit_the_event_is_accepted_at_once_as_the_rows_are(
    manager: EventsManager, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    engine = create_engine(database_url, isolation_level="AUTOCOMMIT")
    Base.metadata.create_all(engine)

    with Session(engine) as session:
        session.add(Order())
        session.flush()
        manager.fire(Event("x"), session=session)
        assert accepted(manager) == ["x"]
        session.rollback()

    assert orders_in(engine) == 1
    assert errors_in(caplog) == []
    engine.dispose()


@pytest.mark.parametrize("mode", ["create_savepoint", "conditional_savepoint", "rollback_only"])
def test_a_test_that_rolls_back_around_a_session_leaves_no_event(
    manager: EventsManager, engine: Engine, kind: str, mode: Any
) -> None:
    manager.fire(Event("x"))

    with engine.connect() as connection:
        outer = connection.begin()
        with Session(connection, join_transaction_mode=mode) as session:
            session.add(Order())
            session.flush()
            manager.fire(Event("x"), session=session)
            session.commit()
            assert session.connection().exec_driver_sql("SELECT count(*) FROM condor_events").scalar() == 2
        outer.rollback()

    assert len(accepted(manager)) - 1 == orders_in(engine)
    # sqlite3 itself takes a SAVEPOINT that comes before any other statement for a transaction.
    assert orders_in(engine) == 0 or (kind, mode) == ("sqlite", "create_savepoint")


def test_an_event_fired_by_the_app_s_own_listeners_goes_the_way_of_the_transaction(
    manager: EventsManager, engine: Engine
) -> None:
    for name in ("flush", "before", "after"):
        manager.register(name, job, run="queued")

    with Session(engine) as session:

        @sqlalchemy_event.listens_for(session, "after_flush")
        def in_flush(session: Session, _: Any) -> None:
            manager.fire(Event("flush"), session=session)

        @sqlalchemy_event.listens_for(session, "before_commit")
        def before(session: Session) -> None:
            manager.fire(Event("before"), session=session)

        @sqlalchemy_event.listens_for(session, "after_commit")
        def after(session: Session) -> None:
            manager.fire(Event("after"), session=session)

        session.add(Order())
        session.flush()
        session.rollback()
        assert accepted(manager) == []
        session.add(Order())
        session.commit()

    assert sorted(accepted(manager)) == ["after", "before", "flush"]


def test_an_event_fired_after_a_failed_flush_is_dropped_with_the_transaction(
    manager: EventsManager, engine: Engine
) -> None:
    with Session(engine) as session:
        session.add(Order(id=1))
        session.commit()
        session.expunge_all()
        session.add(Order(id=1))
        with pytest.raises(Exception, match="UNIQUE|unique"):
            session.flush()
        manager.fire(Event("x"), session=session)
        with pytest.raises(InvalidRequestError):
            session.commit()
        session.rollback()

    assert accepted(manager) == []


def test_a_connection_s_own_savepoints_are_left_in_order(manager: EventsManager, engine: Engine) -> None:
    with engine.connect() as connection, connection.begin() as root:
        connection.execute(select(1))
        with Session(connection, join_transaction_mode="control_fully") as session:
            session.add(Order())
            session.flush()
            nested = session.begin_nested()
            manager.fire(Event("x"), session=session)
            nested.commit()
            session.commit()
        assert not root.is_active

    assert accepted(manager) == ["x"]
