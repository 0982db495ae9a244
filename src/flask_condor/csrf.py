"""The app's own CSRF protection (Flask-WTF) leaves out our blueprints, which have checks of their own."""

from __future__ import annotations

from flask import Blueprint
from flask import current_app


def exempt_from_csrf(blueprint: Blueprint) -> None:
    """Let Flask-WTF's ``CSRFProtect`` pass the views of *blueprint*, whether it is put on the app before or after it.

    Asked for with each request to one of them, before any protection looks at that.
    """

    @blueprint.url_value_preprocessor
    def leave_out(endpoint: str | None, values: dict[str, object] | None) -> None:
        exempt = getattr(current_app.extensions.get("csrf"), "exempt", None)
        if exempt is not None:
            exempt(blueprint)
