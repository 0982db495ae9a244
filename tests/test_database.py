"""The event log's database: which are refused, how Condor's own engine writes, and the version of its tables."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
import typing as t
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from flask_condor import schema
from flask_condor import sqlite_file
from flask_condor.database import check_url
from flask_condor.database import explained
from flask_condor.database import open_database
from flask_condor.errors import ConfigInvalid
from flask_condor.errors import DatabaseUnsupported
from flask_condor.errors import DriverMissing
from flask_condor.errors import LogUnavailable
from flask_condor.errors import SchemaMismatch
from flask_condor.models import VERSION
from flask_condor.models import metadata
from flask_condor.models import versions
from flask_condor.schema import ensure_schema
from flask_condor.schema import upgrade
from flask_condor.schema import version_in
from flask_condor.sqlite_file import READING
from sqlalchemy import inspect
from sqlalchemy import text
from sqlalchemy import update
from sqlalchemy.engine import Connection
from sqlalchemy.engine import Engine

MAKE_TABLES = """
    import sys, time
    from flask_condor.database import check_url, open_database
    from flask_condor.schema import ensure_schema

    engine = open_database(check_url(sys.argv[1], "x"))
    time.sleep(max(0, float(sys.argv[2]) - time.time()))
    with engine.begin() as connection:
        print(ensure_schema(connection))
"""


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = open_database(check_url(database_url, "CONDOR_DATABASE_URL"))
    yield engine
    engine.dispose()


@pytest.fixture
def sqlite_engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(check_url(f"sqlite:///{tmp_path}/log/condor.db", "CONDOR_DATABASE_URL"))
    yield engine
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "backend"),
    [
        ("mysql://db/app", "mysql"),
        ("mariadb+pymysql://db/app", "mariadb"),
        ("oracle://db/app", "oracle"),
        ("mongodb://db/app", "mongodb"),
    ],
)
def test_another_kind_of_database_is_refused_by_its_name(url: str, backend: str) -> None:
    with pytest.raises(DatabaseUnsupported, match=rf"kept in {backend} \(CONDOR_DATABASE_URL\).*postgresql\+psycopg"):
        check_url(url, "CONDOR_DATABASE_URL")


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///file::memory:?cache=shared&uri=true",
        "sqlite:///file:log?mode=memory&cache=shared&uri=true",
    ],
)
def test_a_database_in_memory_is_refused(url: str) -> None:
    with pytest.raises(ConfigInvalid, match="CONDOR_DATABASE_URL is .*expected a file: what is in memory is lost"):
        check_url(url, "CONDOR_DATABASE_URL")


@pytest.mark.parametrize("url", ["", "condor.db", "://", "postgresql://host:port/name", None, 5, b"sqlite:///x.db"])
def test_what_is_no_url_is_refused_with_its_value(url: object) -> None:
    with pytest.raises(ConfigInvalid, match="CONDOR_DATABASE_URL is .*sqlite:///condor.db"):
        check_url(url, "CONDOR_DATABASE_URL")  # type: ignore[arg-type]  # what a user's config may hold


@pytest.mark.parametrize("url", ["sqlite+aiosqlite:///x.db", "postgresql+asyncpg://host/name"])
def test_a_driver_for_async_code_is_refused_by_its_name(url: str) -> None:
    with pytest.raises(ConfigInvalid, match="CONDOR_DATABASE_URL is .*without an async driver"):
        check_url(url, "CONDOR_DATABASE_URL")


def test_a_refusal_hides_the_password() -> None:
    with pytest.raises(ConfigInvalid) as refusal:
        check_url("postgresql+asyncpg://me:secret@host/name", "CONDOR_DATABASE_URL")

    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_a_plain_postgresql_url_means_psycopg_3(scheme: str) -> None:
    url = check_url(f"{scheme}://me:secret@host/name", "x")

    assert url.drivername == "postgresql+psycopg" and url.password == "secret"


@pytest.mark.parametrize("driver", ["pg8000", "psycopg2", "no_such_driver"])
def test_a_missing_driver_is_named_with_the_way_to_do_without(driver: str) -> None:
    told = rf"{driver}, .*not installed: install it, or write postgresql\+psycopg:// .*'flask-condor\[postgres\]'"

    with pytest.raises(DriverMissing, match=told):
        open_database(check_url(f"postgresql+{driver}://host/name", "x"))


def test_our_own_missing_driver_is_named_with_the_extra_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)

    with pytest.raises(DriverMissing, match=r"driver psycopg, .*: run pip install 'flask-condor\[postgres\]'\.$"):
        open_database(check_url("postgresql://host/name", "x"))


def test_a_driver_of_sqlite_that_is_missing_needs_no_postgresql() -> None:
    with pytest.raises(DriverMissing, match="pysqlcipher, .*: install it, or write sqlite:// in CONDOR_DATABASE_URL"):
        open_database(check_url("sqlite+pysqlcipher:///x.db", "x"))


def test_a_file_named_by_a_uri_is_the_one_whose_folder_is_made_and_that_is_checkpointed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    url = check_url(f"sqlite:///file:{tmp_path}/a%2520b/log.db?mode=rwc&uri=true", "x")
    engine = open_database(url)

    write_blobs(engine, 1, tmp_path / "a b/log.db")
    before = (tmp_path / "a b/log.db").stat().st_size
    write_blobs(engine, sqlite_file.COMMITS_PER_CHECKPOINT, tmp_path / "a b/log.db")
    engine.dispose()

    assert (tmp_path / "a b/log.db").stat().st_size > before + 4000 * sqlite_file.COMMITS_PER_CHECKPOINT // 2
    assert [path.name for path in tmp_path.iterdir()] == ["a b"]


def test_opening_a_database_does_not_connect_to_it() -> None:
    engine = open_database(check_url("postgresql://nobody@127.0.0.1:1/none", "x"))

    with pytest.raises(LogUnavailable, match=r"^the event was not stored: .*127\.0\.0\.1"):
        with explained("the event was not stored"), engine.begin():
            pass


def test_every_connection_to_sqlite_is_durable_and_careful(sqlite_engine: Engine) -> None:
    wanted = {"journal_mode": "wal", "synchronous": 2, "mmap_size": 0, "wal_autocheckpoint": 0, "busy_timeout": 0}

    with sqlite_engine.connect() as one, sqlite_engine.connect() as other:
        for connection in (one, other):
            raw = t.cast(sqlite3.Connection, connection.connection.dbapi_connection)
            assert {name: raw.execute(f"PRAGMA {name}").fetchone()[0] for name in wanted} == wanted


def test_a_writing_transaction_locks_at_its_begin_and_a_reading_one_never(sqlite_engine: Engine) -> None:
    with sqlite_engine.connect() as connection:
        connection.execution_options(**{READING: True})
        with connection.begin(), sqlite_engine.begin() as writer:
            ensure_schema(writer)

    with sqlite_engine.begin(), sqlite3.connect(str(sqlite_engine.url.database), timeout=0) as other:
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
    other.close()


def test_a_writer_waits_for_its_turn(sqlite_engine: Engine) -> None:
    began, order = threading.Event(), []

    def hold() -> None:
        with sqlite_engine.begin():
            began.set()
            time.sleep(0.3)
            order.append("first")

    thread = threading.Thread(target=hold)
    thread.start()
    began.wait(10)
    with sqlite_engine.begin():
        order.append("second")
    thread.join()

    assert order == ["first", "second"]


def test_a_lock_that_outlasts_the_wait_is_explained(sqlite_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_file, "BUSY", 0.05)

    with sqlite_engine.begin(), pytest.raises(LogUnavailable, match="locked for .*Find what holds a transaction open"):
        with explained("the event was not stored"), sqlite_engine.begin():
            pass


def test_a_file_that_is_no_database_is_explained(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("not a database, but long enough to be taken for one" * 100)
    engine = open_database(check_url(f"sqlite:///{tmp_path}/x.db", "x"))

    with pytest.raises(LogUnavailable, match="no SQLite database"):
        with explained("the event was not stored"), engine.begin():
            pass


def test_checkpoints_keep_the_write_ahead_log_small(sqlite_engine: Engine) -> None:
    sizes = write_blobs(sqlite_engine, 7 * sqlite_file.COMMITS_PER_CHECKPOINT)

    assert max(sizes) < 1.5 * sizes[sqlite_file.COMMITS_PER_CHECKPOINT]


FLUSH_NOTHING = "PRAGMA synchronous = OFF"  # what is measured here is a size, and a flush takes milliseconds


def test_checkpoints_keep_it_small_beside_another_that_writes_without_a_pause(
    sqlite_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_file, "LONG_WAL", 2 * sqlite_file.COMMITS_PER_CHECKPOINT)
    write_blobs(sqlite_engine, 1)
    path, is_over = str(sqlite_engine.url.database), threading.Event()
    with closing(sqlite_engine.raw_connection()) as connection:
        connection.cursor().execute(FLUSH_NOTHING)

    def write_on() -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute(FLUSH_NOTHING)
            other.execute("PRAGMA wal_autocheckpoint = 0")
            while not is_over.wait(0.0002):
                other.execute("INSERT INTO blobs VALUES (zeroblob(4000))")

    thread = threading.Thread(target=write_on)
    thread.start()
    try:
        sizes = write_blobs(sqlite_engine, 8 * sqlite_file.COMMITS_PER_CHECKPOINT)
    finally:
        is_over.set()
        thread.join()

    assert sizes[-1] < 2.5 * sizes[sqlite_file.COMMITS_PER_CHECKPOINT - 2]


def test_a_checkpoint_waits_for_nobody_who_reads_until_the_write_ahead_log_is_long(
    sqlite_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths, move_whole = [], sqlite_file.move_whole
    path = f"{sqlite_engine.url.database}-wal"

    def noted(connection: sqlite3.Connection) -> None:
        lengths.append(os.path.getsize(path) // 4096)
        move_whole(connection)

    monkeypatch.setattr(sqlite_file, "move_whole", noted)
    monkeypatch.setattr(sqlite_file, "LONG_WAL", 5 * sqlite_file.COMMITS_PER_CHECKPOINT)
    write_blobs(sqlite_engine, 1)
    with closing(sqlite3.connect(str(sqlite_engine.url.database), isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM blobs").fetchall()
        write_blobs(sqlite_engine, 4 * sqlite_file.COMMITS_PER_CHECKPOINT)

    assert lengths and min(lengths) > sqlite_file.LONG_WAL


def test_one_who_only_reads_makes_no_checkpoint(sqlite_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    monkeypatch.setattr(sqlite_file, "move", made.append)

    for _ in range(sqlite_file.COMMITS_PER_CHECKPOINT + 1):
        with sqlite_engine.connect() as connection, connection.execution_options(**{READING: True}).begin():
            connection.exec_driver_sql("SELECT 1")
    assert not made

    write_blobs(sqlite_engine, sqlite_file.COMMITS_PER_CHECKPOINT + 1)
    assert made


def test_a_checkpoint_is_left_to_the_process_that_is_at_it(sqlite_engine: Engine) -> None:
    write_blobs(sqlite_engine, 1)
    before = os.path.getsize(str(sqlite_engine.url.database))

    with open(f"{sqlite_engine.url.database}-checkpoint", "a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        write_blobs(sqlite_engine, sqlite_file.COMMITS_PER_CHECKPOINT)
        assert os.path.getsize(str(sqlite_engine.url.database)) == before
    write_blobs(sqlite_engine, sqlite_file.COMMITS_PER_CHECKPOINT)

    assert os.path.getsize(str(sqlite_engine.url.database)) > 4000 * sqlite_file.COMMITS_PER_CHECKPOINT


def write_blobs(engine: Engine, count: int, path: Path | None = None) -> list[int]:
    """Write *count* pages in a transaction each; return the sizes of the write-ahead log after each."""
    sizes = []
    for _ in range(count):
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS blobs (blob)")
            connection.exec_driver_sql("INSERT INTO blobs VALUES (zeroblob(4000))")
        sizes.append(os.path.getsize(f"{path or engine.url.database}-wal"))
    return sizes


def test_no_connection_crosses_a_fork(sqlite_engine: Engine) -> None:
    with sqlite_engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (x)")
        parents = id(connection.connection.dbapi_connection)

    child = os.fork()
    if child == 0:
        with sqlite_engine.connect() as connection:
            os._exit(int(id(connection.connection.dbapi_connection) == parents))
    assert os.waitpid(child, 0)[1] == 0


def test_the_tables_are_made_where_there_are_none(engine: Engine) -> None:
    with engine.begin() as connection:
        assert version_in(connection) is None
        assert ensure_schema(connection) is True
        assert ensure_schema(connection) is False
        assert version_in(connection) == VERSION

    made = inspect(engine)
    assert set(metadata.tables) <= set(made.get_table_names())
    for table in metadata.sorted_tables:
        assert {index["name"] for index in made.get_indexes(table.name)} == {index.name for index in table.indexes}


def test_tables_made_in_a_transaction_that_rolls_back_are_not_there(engine: Engine) -> None:
    with engine.connect() as connection, connection.begin() as transaction:
        ensure_schema(connection)
        transaction.rollback()

    with engine.begin() as connection:
        assert version_in(connection) is None


def test_8_processes_at_once_make_the_tables_once(database_url: str) -> None:
    command = [sys.executable, "-c", textwrap.dedent(MAKE_TABLES), database_url, str(time.time() + 2)]
    processes = [subprocess.Popen(command, stdout=-1, stderr=-1, text=True) for _ in range(8)]

    told = [process.communicate(timeout=60) for process in processes]

    assert [errors for _, errors in told] == [""] * 8
    assert sorted(out.strip() for out, _ in told) == ["False"] * 7 + ["True"]


@pytest.mark.parametrize("bring", [ensure_schema, upgrade])
def test_newer_tables_than_the_code_are_refused_with_a_sentence(engine: Engine, bring: type) -> None:
    with engine.begin() as connection:
        ensure_schema(connection)
        connection.execute(update(versions).values(version=VERSION + 1))

    with engine.begin() as connection, pytest.raises(SchemaMismatch) as refusal:
        bring(connection)

    assert f"are of version {VERSION + 1}, and this code needs {VERSION}. Upgrade Flask-Condor" in str(refusal.value)


def test_older_tables_are_refused_until_they_are_upgraded(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    with engine.begin() as connection:
        ensure_schema(connection)
    monkeypatch.setattr(schema, "VERSION", VERSION + 2)
    monkeypatch.setitem(schema.MIGRATIONS, VERSION, lambda c: c.execute(text("CREATE TABLE first (x INTEGER)")))
    monkeypatch.setitem(schema.MIGRATIONS, VERSION + 1, lambda c: c.execute(text("INSERT INTO first VALUES (1)")))

    with engine.begin() as connection, pytest.raises(SchemaMismatch, match="Run `flask events db upgrade` once"):
        ensure_schema(connection)
    with engine.begin() as connection:
        assert upgrade(connection) == (VERSION, VERSION + 2)
    with engine.begin() as connection:
        assert ensure_schema(connection) is False
        assert upgrade(connection) == (VERSION + 2, VERSION + 2)
        assert connection.execute(text("SELECT x FROM first")).scalars().all() == [1]


def test_a_version_from_which_no_way_leads_is_refused_with_a_sentence(engine: Engine) -> None:
    with engine.begin() as connection:
        ensure_schema(connection)
        connection.execute(update(versions).values(version=VERSION - 1))

    with engine.begin() as connection, pytest.raises(SchemaMismatch, match="No way leads there from that version: res"):
        upgrade(connection)


def test_an_upgrade_makes_a_dropped_table_anew(engine: Engine) -> None:
    with engine.begin() as connection:
        ensure_schema(connection)
        connection.execute(text("DROP TABLE condor_deliveries"))

    with engine.begin() as connection:
        assert upgrade(connection) == (VERSION, VERSION)

    assert inspect(engine).get_indexes("condor_deliveries")


def test_an_upgrade_that_fails_half_way_changes_nothing(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_off(connection: Connection) -> None:
        raise RuntimeError("half way")

    with engine.begin() as connection:
        ensure_schema(connection)
    monkeypatch.setattr(schema, "VERSION", VERSION + 2)
    monkeypatch.setitem(schema.MIGRATIONS, VERSION, lambda c: c.execute(text("CREATE TABLE first (x INTEGER)")))
    monkeypatch.setitem(schema.MIGRATIONS, VERSION + 1, break_off)

    with pytest.raises(RuntimeError, match="half way"), engine.begin() as connection:
        upgrade(connection)

    with engine.begin() as connection:
        assert version_in(connection) == VERSION
        assert not inspect(connection).has_table("first")


def test_an_upgrade_makes_the_tables_where_there_are_none(engine: Engine) -> None:
    with engine.begin() as connection:
        assert upgrade(connection) == (None, VERSION)
        assert ensure_schema(connection) is False
