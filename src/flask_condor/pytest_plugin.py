"""The pytest plugin: the fixtures ``fake_events`` and ``events_worker``, for the app of the fixture ``app``."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator

import pytest

if t.TYPE_CHECKING:
    from flask import Flask

    from .testing import EventsWorker
    from .testing import FakeEvents

WANTED = """\
def app():
    return create_app({"TESTING": True})
"""


@pytest.fixture
def fake_events(request: pytest.FixtureRequest) -> Iterator[FakeEvents]:
    """Events of the fixture ``app``, recorded instead of handled: ``fake_events.assert_fired(NAME)``."""
    app = app_of(request)
    from .testing import FakeEvents  # pytest imports this module at every start

    with FakeEvents(app) as events:
        yield events


@pytest.fixture
def events_worker(request: pytest.FixtureRequest) -> Iterator[EventsWorker]:
    """A worker for the fixture ``app``: ``events_worker.run()`` runs the queued jobs that are due."""
    app = app_of(request)
    from .testing import EventsWorker  # likewise

    with EventsWorker(app) as worker:
        yield worker


def app_of(request: pytest.FixtureRequest) -> Flask:
    """Return the app of the fixture ``app``; fail the test in one line when it is none, or has no Condor."""
    try:
        app = request.getfixturevalue("app")
    except pytest.FixtureLookupError as missing:
        if missing.argname != "app":
            raise
        needed = f"{request.fixturename} needs a fixture named app that returns your Flask app, such as"
        pytest.fail(f"{needed}\n\n@pytest.fixture\n{WANTED}\nin conftest.py", pytrace=False)
    if "condor" not in getattr(app, "extensions", ()):
        given = f"the fixture app gave {app!r}, which is no Flask app with Condor"
        pytest.fail(f"{given}: call Condor(app) or condor.init_app(app) in it.", pytrace=False)
    return t.cast("Flask", app)
