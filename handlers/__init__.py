"""The request handlers: each reads a request, changes the database, fires an event, and answers."""

from __future__ import annotations

from flask import Flask
from msgspec import MsgspecError
from werkzeug.exceptions import HTTPException

from handlers import answers
from handlers import home
from handlers import passwords
from handlers import signup
from handlers import uploads


def init_app(app: Flask) -> None:
    for module in (home, signup, passwords, uploads):
        app.register_blueprint(module.bp)
    app.register_error_handler(HTTPException, answers.refuse)
    app.register_error_handler(MsgspecError, answers.refuse_input)
