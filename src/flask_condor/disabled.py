"""The disabled webhooks: the URLs that answered 410 Gone, to which nothing is posted until somebody enables them."""

from __future__ import annotations

import typing as t
from collections.abc import Sequence

from sqlalchemy import delete
from sqlalchemy import select
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Connection
from sqlalchemy.engine import Row

from .bus import bus_of
from .bus import ours
from .edge_models import webhooks
from .log import clock


def disabled_since(connection: Connection, url: str) -> float | None:
    """Return when *url* was disabled, in seconds since 1970 UTC; None when it is not."""
    chosen = select(webhooks.c.disabled_at).where(ours(connection, webhooks), webhooks.c.url == url)
    return connection.scalar(chosen)


def disable(connection: Connection, url: str, why: str) -> bool:
    """Write down that nothing is to be posted to *url*; return False when that is written already."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    row = {"bus": bus_of(connection), "url": url, "disabled_at": clock(connection), "why": why}
    is_news = disabled_since(connection, url) is None
    connection.execute(insert(webhooks).values(row).on_conflict_do_nothing())
    return is_news


def enable(connection: Connection, url: str) -> bool:
    """Let *url* be posted to again; return False when it is not disabled."""
    gone = delete(webhooks).where(ours(connection, webhooks), webhooks.c.url == url)
    return connection.execute(gone).rowcount > 0


def all_disabled(connection: Connection) -> Sequence[Row[t.Any]]:
    """Return the rows of the disabled ones, by URL."""
    return connection.execute(select(webhooks).where(ours(connection, webhooks)).order_by(webhooks.c.url)).fetchall()
