"""The headers of every response: nothing but our own scripts and styles, and nothing kept in caches but those."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from werkzeug.sansio.response import Response

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
A_YEAR = "public, max-age=31536000, immutable"


def protect(response: Response, *, is_static: bool) -> None:
    """Put them on *response*, over whatever the app has set."""
    response.headers.update(HEADERS)
    if not is_static:
        response.headers["Cache-Control"] = "no-store"
    elif response.status_code in (200, 304):
        response.headers["Cache-Control"] = A_YEAR
