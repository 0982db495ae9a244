"""The same job for procrastinate, on PostgreSQL."""

from __future__ import annotations

import os

from procrastinate import App
from procrastinate import PsycopgConnector

app = App(connector=PsycopgConnector(conninfo=os.environ["DATABASE"].replace("+psycopg", "")))


@app.task(name="note")
def note(number: int) -> None:
    """Do nothing."""
