"""`run="after_response"`: when the jobs run, in which context, and when they are dropped."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask import Response
from flask import abort
from flask import g
from flask import request
from flask import stream_with_context
from flask.typing import ResponseReturnValue
from flask_condor import Condor
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventsManager
from flask_condor import ctx
from werkzeug.test import create_environ
from werkzeug.wsgi import ClosingIterator

from tests.conftest import MakeJob


@pytest.fixture
def served(events_manager: EventsManager, app: Flask, make_job: MakeJob, ran: list[str]) -> Flask:
    """An app whose view fires an event with one job of either word."""
    app.testing = False
    events_manager.register("x", make_job("now"))
    events_manager.register("x", make_job("later"), run="after_response")

    @app.route("/", methods=["GET", "POST"])
    def view() -> str:
        ctx.events.fire(Event("x"))
        ran.append("view")
        return "body"

    return app


def serve(app: Flask, ran: list[str], path: str = "/", **options: Any) -> list[bytes]:
    """Do what a WSGI server does: send the body, then close it."""
    body = app.wsgi_app(create_environ(path, **options), lambda status, headers, exc_info=None: lambda data: None)
    sent = []
    for chunk in body:
        sent.append(chunk)
        ran.append("sent")
    body.close()  # type: ignore[attr-defined]
    return sent


def test_the_job_runs_once_the_response_has_been_sent_and_closed(served: Flask, ran: list[str]) -> None:
    wsgi_app = served.wsgi_app

    def outer(environ: Any, start_response: Any) -> Any:
        return ClosingIterator(wsgi_app(environ, start_response), lambda: ran.append("closed"))

    served.wsgi_app = outer  # type: ignore[method-assign]

    serve(served, ran)

    assert ran == ["now", "view", "sent", "later", "closed"]


def test_the_response_itself_is_closed_before_the_job_runs(served: Flask, ran: list[str]) -> None:
    @served.after_request
    def note_closing(response: Response) -> Response:
        response.call_on_close(lambda: ran.append("response closed"))
        return response

    serve(served, ran)

    assert ran == ["now", "view", "sent", "response closed", "later"]


def test_under_the_test_client_the_job_is_done_before_the_client_returns(served: Flask, ran: list[str]) -> None:
    served.testing = True

    served.test_client().get("/")

    assert ran == ["now", "view", "later"]


def test_the_test_client_still_sees_a_streamed_body_whole(served: Flask, ran: list[str]) -> None:
    served.testing = True

    @served.get("/stream")
    def stream() -> ResponseReturnValue:
        return Response(str(number) for number in range(5))

    assert served.test_client().get("/stream").text == "01234"


def test_the_job_runs_in_a_fresh_app_context_with_the_request_still_readable(
    app: Flask, events_manager: EventsManager
) -> None:
    seen: list[Any] = []

    def read(event: Event[Any], ctx: Context) -> None:
        assert ctx.request is not None
        seen.extend([ctx.request.form["name"], request.headers["X-Word"], request.path, g.get("word")])

    events_manager.register("x", read, run="after_response")

    @app.post("/signup")
    def signup() -> str:
        g.word = "of the view"
        ctx.events.fire(Event("x"))
        return request.form["name"]

    app.test_client().post("/signup", data={"name": "Ada"}, headers={"X-Word": "kept"})

    assert seen == ["Ada", "kept", "/signup", None]


def test_the_context_is_fresh_also_under_an_app_context_of_the_test(app: Flask, events_manager: EventsManager) -> None:
    seen: list[Any] = []
    events_manager.register("x", lambda event, ctx: seen.append(g.get("word")), run="after_response")

    @app.get("/")
    def view() -> str:
        ctx.events.fire(Event("x"))
        return ""

    with app.app_context():
        g.word = "of the test"
        app.test_client().get("/")
        ctx.events.fire(Event("x"))

    assert seen == [None, None]


@pytest.mark.parametrize("way", ["abort", "returned status", "exception", "error handler"])
def test_a_5xx_response_drops_the_job_and_says_so(
    served: Flask, ran: list[str], way: str, caplog: pytest.LogCaptureFixture
) -> None:
    if way == "error handler":
        served.register_error_handler(LookupError, lambda error: ("handled", 503))

    @served.get("/fails")
    def fails() -> ResponseReturnValue:
        ctx.events.fire(Event("x"))
        if way == "abort":
            abort(500)
        if way == "returned status":
            return "no", 502
        raise LookupError

    serve(served, ran, "/fails")

    assert ran == ["now", "sent"]
    assert "job later of event x dropped: it was to run after the response, which was 50" in caplog.text


@pytest.mark.parametrize("status", [200, 302, 404, 422])
def test_any_other_status_does_not(served: Flask, ran: list[str], status: int) -> None:
    @served.get("/other")
    def other() -> ResponseReturnValue:
        ctx.events.fire(Event("x"))
        return "", status

    serve(served, ran, "/other")

    assert "later" in ran


def test_a_status_that_a_handler_turns_into_a_good_one_counts_as_good(served: Flask, ran: list[str]) -> None:
    @served.after_request
    def mend(response: Response) -> Response:
        response.status_code = 200
        return response

    @served.get("/fails")
    def fails() -> ResponseReturnValue:
        ctx.events.fire(Event("x"))
        return "no", 500

    serve(served, ran, "/fails")

    assert "later" in ran


def test_an_exception_that_leaves_the_app_drops_the_job(
    served: Flask, ran: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    served.testing = True

    @served.get("/fails")
    def fails() -> str:
        ctx.events.fire(Event("x"))
        raise LookupError

    with pytest.raises(LookupError):
        served.test_client().get("/fails")
    served.test_client().get("/")

    assert ran == ["now", "now", "view", "later"]
    assert "job later of event x dropped" in caplog.text


@pytest.mark.parametrize("testing", [True, False])
def test_events_fired_while_streaming_are_included(served: Flask, ran: list[str], testing: bool) -> None:
    served.testing = testing

    @served.get("/stream")
    def stream() -> ResponseReturnValue:
        def generate() -> Iterator[str]:
            yield "one"
            ctx.events.fire(Event("x"))
            yield "two"

        return Response(stream_with_context(generate()))

    if testing:
        served.test_client().get("/stream")
        assert ran == ["now", "later"]
    else:
        serve(served, ran, "/stream")
        assert ran == ["sent", "now", "sent", "later"]


def test_outside_a_request_the_job_runs_at_once(served: Flask, ran: list[str]) -> None:
    with served.app_context():
        ctx.events.fire(Event("x"))
        ran.append("fired")
    with served.test_request_context():
        ctx.events.fire(Event("x"))

    assert ran == ["now", "later", "fired", "now", "later"]


def test_jobs_run_in_the_order_their_events_were_fired_and_may_put_off_more(
    app: Flask, events_manager: EventsManager, make_job: MakeJob, ran: list[str]
) -> None:
    def first(event: Event[Any], ctx: Context) -> None:
        ran.append("first")
        ctx.events.fire(Event("b"))
        ran.append("fired b")

    events_manager.register("a", first, make_job("second"), run="after_response")
    events_manager.register("b", make_job("third"), run="after_response")

    @app.get("/")
    def view() -> str:
        ctx.events.fire(Event("a"))
        return ""

    app.test_client().get("/")

    assert ran == ["first", "fired b", "second", "third"]


def test_a_put_off_event_keeps_its_id_time_cause_and_depth(app: Flask, events_manager: EventsManager) -> None:
    seen: list[tuple[Any, ...]] = []

    def note(event: Event[Any], ctx: Context) -> None:
        seen.append((event.id, event.fired_at, event.cause, event.depth, event.source))

    events_manager.register("a", lambda event, ctx: ctx.events.fire(Event("b")))
    events_manager.register("b", note)
    events_manager.register("b", note, run="after_response")

    @app.get("/")
    def view() -> str:
        ctx.events.fire(Event("a"))
        return ""

    app.test_client().get("/")

    assert seen[0] == seen[1]
    assert seen[0][3:] == (2, "job")


def test_a_failing_job_is_logged_and_the_next_one_runs(
    served: Flask, events_manager: EventsManager, failing_job: Any, ran: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    events_manager.unregister("x", *(job.function for job in events_manager.registry.jobs_of("x")))
    events_manager.register("x", failing_job, lambda event, ctx: ran.append("next"), run="after_response")

    serve(served, ran)

    assert ran == ["view", "sent", "next"]
    assert "job failing of event x failed: ValueError: no such address" in caplog.text
    assert caplog.records[0].exc_info


def test_events_that_put_themselves_off_for_ever_are_stopped(
    app: Flask, events_manager: EventsManager, caplog: pytest.LogCaptureFixture
) -> None:
    depths: list[int] = []

    def again(event: Event[Any], ctx: Context) -> None:
        depths.append(event.depth)
        ctx.events.fire(Event("x"))

    events_manager.register("x", again, run="after_response")

    @app.get("/")
    def view() -> str:
        ctx.events.fire(Event("x"))
        return ""

    app.test_client().get("/")

    assert depths == list(range(1, 33))
    assert "EventLoop: event chain is longer than 32" in caplog.text


def test_a_teardown_function_that_fails_after_one_job_does_not_stop_the_next(
    served: Flask, ran: list[str], events_manager: EventsManager, caplog: pytest.LogCaptureFixture
) -> None:
    events_manager.register("x", lambda event, ctx: ran.append("next"), run="after_response")

    @served.teardown_appcontext
    def fail(error: BaseException | None) -> None:
        if "later" in ran:
            raise LookupError

    serve(served, ran)

    assert ran == ["now", "view", "sent", "later", "next"]
    assert "the app context of job later could not be closed" in caplog.text


def test_without_such_jobs_the_response_passes_untouched(app: Flask, events_manager: EventsManager) -> None:
    events_manager.register("x", lambda event, ctx: None)
    body = object()
    flask_app = Flask("plain")
    flask_app.wsgi_app = lambda environ, start_response: body  # type: ignore[method-assign, assignment, return-value]
    Condor(flask_app)

    assert flask_app.wsgi_app(create_environ(), None) is body  # type: ignore[arg-type]


def test_request_teardown_functions_run_once_per_request_however_many_jobs_wait(served: Flask, ran: list[str]) -> None:
    served.teardown_request(lambda error: ran.append("teardown"))

    @served.get("/three")
    def three() -> str:
        for _ in range(3):
            ctx.events.fire(Event("x"))
        return ""

    serve(served, ran, "/three")

    assert ran.count("teardown") == 1
    assert ran.count("later") == 3


def test_a_teardown_function_may_fire_and_its_job_runs_once(served: Flask, ran: list[str]) -> None:
    @served.teardown_request
    def fire_at_teardown(error: BaseException | None) -> None:
        ctx.events.fire(Event("x"))

    serve(served, ran)

    assert ran.count("later") == 2


def test_a_response_that_fails_to_close_keeps_no_job_from_running(served: Flask, ran: list[str]) -> None:
    def fail() -> None:
        raise KeyError("missing")

    @served.after_request
    def break_closing(response: Response) -> Response:
        response.call_on_close(fail)
        return response

    with pytest.raises(KeyError):
        serve(served, ran)

    assert ran[-1] == "later"


@pytest.mark.parametrize("payload", [threading.Lock(), (number for number in range(3)), object()])
def test_a_payload_that_cannot_be_copied_reaches_the_job_as_it_is(
    app: Flask, events_manager: EventsManager, payload: Any
) -> None:
    seen: list[Any] = []
    events_manager.register("x", lambda event, ctx: seen.append(event.payload), run="after_response")

    @app.get("/")
    def view() -> str:
        ctx.events.fire(Event("x", payload))
        return ""

    app.test_client().get("/")

    assert seen[0] is payload


def test_the_limit_of_descendants_counts_those_of_all_put_off_jobs_together(
    app: Flask, events_manager: EventsManager, caplog: pytest.LogCaptureFixture
) -> None:
    children: list[int] = []

    def multiply(event: Event, ctx: Context) -> None:
        for _ in range(4_000):
            ctx.events.fire(Event("child"))

    events_manager.register("child", lambda event, ctx: children.append(event.depth))
    for _ in range(3):
        events_manager.register("x", lambda event, ctx: multiply(event, ctx), run="after_response")

    @app.get("/")
    def view() -> str:
        ctx.events.fire(Event("x"))
        return ""

    app.test_client().get("/")

    assert len(children) == 10_000
    assert "led to more than 10,000 others" in caplog.text
