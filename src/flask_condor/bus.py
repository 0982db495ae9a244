"""The bus: the part of the event log that belongs to one app, where several share a database (``CONDOR_BUS``).

Every transaction of :class:`~flask_condor.log.Log` knows its bus, and every table has a column ``bus``. Whoever reads
or changes rows adds :func:`ours`: ``select(events).where(ours(connection, events), ...)``. The indexes are led by it.
"""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from sqlalchemy import ColumnElement
    from sqlalchemy import Table
    from sqlalchemy.engine import Connection

BUS = "condor_bus"
"""The execution option that holds it, of the log's engine and so of its connections; a caller's own has none."""
DEFAULT = "default"


def bus_of(connection: Connection) -> str:
    """Return the bus of a transaction of the log."""
    return t.cast(str, connection.get_execution_options().get(BUS, DEFAULT))


def ours(connection: Connection, table: Table) -> ColumnElement[bool]:
    """Return the condition for the rows of *table* that are on the bus of *connection*."""
    return table.c.bus == bus_of(connection)
