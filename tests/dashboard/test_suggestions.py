"""What the search field suggests: real values for each of its qualifiers, from what is cheap to read."""

from __future__ import annotations

import re
from collections.abc import Callable
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor.dashboard import suggestions
from flask_condor.failure_groups import Group
from flask_condor.failures import Failed
from flask_condor.failures import add_failures
from flask_condor.presence import Presence
from flask_condor.presence import sign_in
from flask_condor.storable import Failure
from sqlalchemy import event
from sqlalchemy import text

from tests.dashboard.apps import make_app
from tests.dashboard.apps import manager_of
from tests.dashboard.browsing import Person


@pytest.fixture
def manager(database_url: str, tmp_path: Path) -> Iterator[EventsManager]:
    app = make_app(tmp_path, debug=True, CONDOR_DATABASE_URL=database_url)
    yield manager_of(app)
    manager_of(app).log.engine.dispose()


def suggested_to(manager: EventsManager, path: str = "/", status: int = 200) -> list[str]:
    page = Person(manager).open(path, status)
    listed = page.partition('<datalist id="search-hints">')[2].partition("</datalist>")[0]
    return [unescape(value) for value in re.findall(r'<option value="([^"]*)">', listed)]


def fail(manager: EventsManager, error_type: str, job: str, at: float) -> None:
    failure = Failure(error_type, f"{job}:frame", f"{error_type}: oh")
    with manager.log.begin() as connection:
        add_failures(connection, [Failed(1, 1, "order.paid", job, "dead", None, at, at, failure)])


def jobs_called(*paths: str) -> list[Callable[[Event[Any], Context], None]]:
    def made(path: str) -> Callable[[Event[Any], Context], None]:
        def job(event: Event[Any], ctx: Context) -> None: ...

        job.__module__, _, job.__qualname__ = path.partition(":")
        return job

    return [made(path) for path in paths]


def test_there_are_suggestions_for_each_qualifier(manager: EventsManager) -> None:
    fail(manager, "shop.errors.Declined", "old.jobs:charge", 5.0)
    presence = Presence("host:7:ab", "host", 7, 1, (), "1.0")
    with manager.log.begin() as connection:
        sign_in(connection, presence)

    found = suggested_to(manager)

    assert found[:4] == ["name:", "status:", "source:", "subject:"] and "payload.user.id:" in found
    assert {"status:failed", "source:http", "state:dead"} < set(found)
    assert {"name:user.registered", "job:send_mail", "job:charge", "error:Declined", "worker:host:7:ab"} < set(found)


def test_jobs_that_end_alike_are_suggested_by_their_whole_paths(manager: EventsManager) -> None:
    manager.register("order.paid", *jobs_called("mails:send", "letters:send", "letters:stamp"))

    found = suggested_to(manager)

    assert {"job:letters:send", "job:mails:send", "job:stamp"} < set(found) and "job:send" not in found


def test_what_has_spaces_is_suggested_as_it_has_to_be_typed(manager: EventsManager) -> None:
    manager.register('order "paid" twice', *jobs_called("mails:send"))

    assert 'name:"order \\"paid\\" twice"' in suggested_to(manager)


def test_what_nobody_can_type_is_not_suggested(manager: EventsManager) -> None:
    manager.register("order\nforged", *jobs_called("mails:" + "x" * 201))

    assert not [one for one in suggested_to(manager) if "forged" in one or "xxx" in one]


def test_however_much_there_is_fewer_than_200_are_suggested(manager: EventsManager) -> None:
    for number in range(120):
        manager.register(f"event.{number:03}", *jobs_called(f"many:job_{number:03}"))
        fail(manager, f"errors.Error{number}", "many:job_001", float(number))
    with manager.log.begin() as connection:
        for number in range(20):
            sign_in(connection, Presence(f"host:{number}", "host", number, 1, (), "1.0"))

    found = suggested_to(manager)

    assert 150 < len(found) < 200 and len(set(found)) == len(found)
    assert "error:Error119" in found and "error:Error1" not in found


def test_no_table_that_grows_with_the_events_is_read(manager: EventsManager) -> None:
    fail(manager, "Declined", "old.jobs:charge", 5.0)
    asked: list[str] = []
    with manager.app.test_request_context("/condor/"):
        event.listen(manager.log.engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
        suggestions.suggestions(has_log=True)

    assert any("condor_failures" in one for one in asked) and any("condor_workers" in one for one in asked)
    assert not re.search("condor_(deliveries|events|attempts|failure_counts|rates)", " ".join(asked))


def test_a_page_that_says_the_log_is_away_does_not_wait_for_it_again(
    manager: EventsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def of_log() -> tuple[list[Group], list[str]]:
        asked.append("the log")
        return [], []

    monkeypatch.setattr(suggestions, "of_log", of_log)
    with manager.log.begin() as connection:
        connection.execute(text("ALTER TABLE condor_failures RENAME TO condor_gone"))

    found = suggested_to(manager, "/failures", 503)

    assert "name:user.registered" in found and "status:failed" in found and not asked
