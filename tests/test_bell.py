"""The bell: a waiting worker is woken by a commit, and by nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shutil import copyfile
from threading import Timer

import pytest
from flask_condor import bell
from flask_condor.bell import FileBell
from flask_condor.bell import bell_of
from flask_condor.database import open_database
from flask_condor.watch import Watch
from sqlalchemy import Engine
from sqlalchemy import make_url
from sqlalchemy import text


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(make_url(f"sqlite:///{tmp_path / 'log.db'}"))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE things (id INTEGER PRIMARY KEY)"))
    yield engine
    engine.dispose()


@pytest.fixture(params=["watched", "polled"])
def file_bell(request: pytest.FixtureRequest, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileBell]:
    if request.param == "polled":
        monkeypatch.setattr(bell, "Watch", refuse)
    made = bell_of(engine)
    assert isinstance(made, FileBell)
    made.wait(0)
    yield made
    made.close()


def refuse(path: str) -> Watch:
    raise OSError("no inotify")


def commit(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO things DEFAULT VALUES"))


def test_a_commit_rings_it_while_it_is_waited_for(file_bell: FileBell, engine: Engine) -> None:
    later = Timer(0.3, commit, [engine])
    later.start()

    assert file_bell.wait(60)

    later.join()
    assert not file_bell.wait(0.3)


def test_a_commit_before_the_wait_rings_it_at_once(file_bell: FileBell, engine: Engine) -> None:
    commit(engine)

    assert file_bell.wait(60)


def test_a_rollback_and_other_files_of_the_folder_do_not_ring_it(
    file_bell: FileBell, engine: Engine, tmp_path: Path
) -> None:
    with engine.connect() as connection:
        connection.execute(text("INSERT INTO things DEFAULT VALUES"))
        connection.rollback()
    Path(tmp_path, "notes.txt").write_text("something else")

    assert not file_bell.wait(0.3)


def test_a_wake_ends_the_wait_without_a_ring(file_bell: FileBell) -> None:
    later = Timer(0.2, file_bell.wake)
    later.start()

    assert not file_bell.wait(60)

    later.join()


def test_it_makes_no_file_where_there_is_none(engine: Engine, tmp_path: Path) -> None:
    engine.dispose()
    (tmp_path / "log.db").unlink()
    made = bell_of(engine)

    made.wait(0.3)
    made.close()

    assert not (tmp_path / "log.db").exists()


def test_a_deleted_file_rings_it_once_and_is_not_made_anew(file_bell: FileBell, tmp_path: Path) -> None:
    (tmp_path / "log.db").unlink()

    assert file_bell.wait(60)
    assert not file_bell.wait(0.3)
    assert not (tmp_path / "log.db").exists()


def test_a_replaced_file_rings_it_and_its_commits_do(file_bell: FileBell, engine: Engine, tmp_path: Path) -> None:
    engine.dispose()
    copyfile(tmp_path / "log.db", tmp_path / "restored.db")
    (tmp_path / "restored.db").replace(tmp_path / "log.db")

    assert file_bell.wait(60)
    assert not file_bell.wait(0.3)
    commit(engine)
    assert file_bell.wait(60)


def test_a_file_named_by_a_uri_is_heard_too(engine: Engine, tmp_path: Path) -> None:
    by_uri = open_database(make_url(f"sqlite:///file:{tmp_path / 'log.db'}?mode=rw&uri=true"))
    made = bell_of(by_uri)
    made.wait(0)

    commit(engine)

    assert made.wait(60)
    made.close()


def test_a_watch_tells_of_writes_to_its_file_and_its_log_only(tmp_path: Path) -> None:
    watch = Watch(str(tmp_path / "log.db"))
    (tmp_path / "other.db").write_text("x")
    other = watch.was_written()
    (tmp_path / "log.db-wal").write_text("x")

    assert (other, watch.was_written(), watch.was_written()) == (False, True, False)
    watch.close()


def test_a_folder_that_is_not_there_cannot_be_watched(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        Watch(str(tmp_path / "gone" / "log.db"))
