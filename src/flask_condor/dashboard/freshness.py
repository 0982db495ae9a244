"""Freshness: a page that is polled is made anew only when the log has changed, which a few cheap looks tell."""

from __future__ import annotations

import hashlib
import typing as t

from flask import Response
from flask import request
from sqlalchemy import func
from sqlalchemy import select

from ..bus import ours
from ..edge_models import rejections
from ..errors import CondorError
from ..models import RUNNING
from ..models import audit
from ..models import bulk_operations
from ..models import deliveries
from ..models import events
from ..models import failures
from ..models import rates
from ..models import workers
from ..rates import HOUR
from ..rates import MINUTE
from .assets import digest_of_pages
from .here import actor
from .here import log
from .here import may
from .here import now
from .routes import PERMISSIONS

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import Connection

STALE = 20
"""Seconds after which a page is made anew in any case: its period has moved on, and some changes are not looked at."""


def etag() -> str | None:
    """Return what stands for all that the page of this request shows; None where it cannot be told."""
    try:
        with log().read() as connection:
            looks = changes(connection)
    except CondorError:
        return None
    parts = (digest_of_pages(), request.full_path, *seen_by(), int(now() // STALE), looks)
    return hashlib.sha256(repr(parts).encode(errors="backslashreplace")).hexdigest()[:32]


def seen_by() -> tuple[str, ...]:
    """Return who makes the request, and what they may do: a page shows who, and the buttons of what."""
    return actor(), *(action for action in PERMISSIONS if may(action))


def if_changed(make: Callable[[], Response]) -> Response:
    """Return the page that *make* makes, unless the browser has it as it is now."""
    tag = etag()
    return unchanged(tag) if is_known(tag) else tagged(make(), tag)


def is_known(tag: str | None) -> bool:
    """Tell whether the browser has the page of this tag."""
    return tag is not None and tag in request.if_none_match


def unchanged(tag: str | None) -> Response:
    """Return the answer that what the browser has is up to date."""
    return tagged(Response(status=304), tag)


def tagged(response: Response, tag: str | None) -> Response:
    """Return *response* with its tag, where it is one that can be asked for by it."""
    if tag is not None and response.status_code in (200, 304):
        response.set_etag(tag)
    return response


def changes(connection: Connection) -> list[object]:
    """Return what is other after an event, a claim, the end of a run, an action, a refusal, or a worker's sign of life.

    Each look reads one end of an index, or the few rows of what runs, so it costs the same however much is stored.
    """
    newest = (
        select(func.max(events.c.fired_at)).where(ours(connection, events)),
        select(func.max(deliveries.c.id)),
        select(func.max(deliveries.c.finished_at)).where(
            ours(connection, deliveries), deliveries.c.finished_at.is_not(None)
        ),
        select(func.max(deliveries.c.lease_until)).where(ours(connection, deliveries), RUNNING),
        select(func.max(audit.c.id)),
        select(func.max(failures.c.last_seen)).where(ours(connection, failures)),
        select(func.max(workers.c.seen_at)).where(ours(connection, workers)),
    )
    at = int(now())  # PostgreSQL reads the whole table for an integer that is compared with a float
    carried_out = select(func.sum(bulk_operations.c.done + bulk_operations.c.total)).where(
        ours(connection, bulk_operations), bulk_operations.c.finished_at.is_(None)
    )
    counted = (
        carried_out,
        select(func.sum(rates.c.runs)).where(
            ours(connection, rates), rates.c.width == MINUTE, rates.c.start > at - 2 * MINUTE
        ),
        select(func.sum(rejections.c.count)).where(ours(connection, rejections), rejections.c.start > at - 2 * HOUR),
    )
    looks = [look.scalar_subquery() for look in (*newest, *counted)]
    found = connection.execute(select(*looks)).one()  # in one statement: each is a journey to PostgreSQL
    return [*found[: len(newest)], *map(str, found[len(newest) :])]
