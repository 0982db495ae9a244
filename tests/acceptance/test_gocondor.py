"""The GoCondor page's program: constants, a job of two arguments, one line of registration, a handler that fires."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_condor import Condor
from flask_condor import CondorError
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor import ctx
from flask_condor import resolve_events_manager

PASSWORD_CHANGED = "password-changed"
PROCESS_COMPLETED = "process-completed"


@dataclass
class User:
    name: str


mails: list[tuple[str, str]] = []
fired: list[User] = []
started: list[threading.Thread] = []


def send_password_changed_notification_email(event: Event, ctx: Context) -> None:
    def send() -> None:
        assert ctx.request is not None
        mails.append((event.payload["user"].name, ctx.request.path))

    started.append(threading.Thread(target=send))
    started[-1].start()


def remember(event: Event, ctx: Context) -> None:
    fired.append(event.payload["user"])


def register_events() -> None:
    events_manager: EventsManager = resolve_events_manager()
    events_manager.register(PASSWORD_CHANGED, send_password_changed_notification_email)
    events_manager.register(PASSWORD_CHANGED, remember)


@pytest.fixture
def client() -> FlaskClient:
    app = Flask(__name__)
    Condor(app, register_events=register_events)

    @app.post("/signup")
    def signup() -> dict[str, bool]:
        user = User("Ada")
        ctx.events.fire(Event(name=PASSWORD_CHANGED, payload={"user": user}))
        return {"the very value": fired[-1] is user}

    @app.post("/completed")
    def completed() -> dict[str, str]:
        try:
            ctx.events.fire(Event(name=PROCESS_COMPLETED, payload={}))
        except CondorError as error:
            return {"error": str(error)}
        return {}

    return app.test_client()


def test_the_handler_fires_and_the_job_uses_event_and_context_in_a_thread_of_its_own(client: FlaskClient) -> None:
    response = client.post("/signup")
    started[-1].join()

    assert response.json == {"the very value": True}
    assert mails[-1] == ("Ada", "/signup")


def test_firing_an_event_that_is_not_registered_is_an_error_the_handler_can_catch(client: FlaskClient) -> None:
    response = client.post("/completed")

    assert response.json is not None
    assert response.json["error"].startswith("event process-completed is not registered")
