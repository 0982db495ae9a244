"""What goes in and comes out of every handler: a form or JSON, and the page for browsers or JSON for programs."""

from __future__ import annotations

from typing import Any
from typing import TypeVar

import msgspec
from flask import abort
from flask import redirect
from flask import request
from flask import url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from handlers.home import show_home

T = TypeVar("T")


def read_input(kind: type[T]) -> T:
    """Return the posted form or JSON as *kind*; a `msgspec.MsgspecError` says what is wrong with it."""
    if request.is_json:
        try:
            return msgspec.json.decode(request.get_data(), type=kind)
        except UnicodeDecodeError:
            abort(400, "The JSON is not UTF-8.")
    return msgspec.convert(request.form.to_dict(), kind)


def answer(body: dict[str, Any], status: int = 200) -> ResponseReturnValue:
    if browser_asks():
        return redirect(url_for("home.index"), 303)
    return body, status


def refuse(error: HTTPException) -> ResponseReturnValue:
    headers = [(name, value) for name, value in error.get_headers() if name != "Content-Type"]
    return *refusal(error.description or error.name, error.code or 500), headers


def refuse_input(error: msgspec.MsgspecError) -> ResponseReturnValue:
    return refusal(str(error), 400)


def refusal(text: str, status: int) -> tuple[str | dict[str, Any], int]:
    return (show_home(error=text) if browser_asks() else {"error": text}), status


def browser_asks() -> bool:
    return request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"
