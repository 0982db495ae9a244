"""Exports: the rows of a list, as its filter has them, in a CSV or JSON file."""

from __future__ import annotations

import csv
import io
import json
import typing as t
from collections.abc import Iterable
from collections.abc import Sequence
from itertools import islice

from flask import Response

from .query import wants

MOST = 10_000
"""How many rows a file has; a header of the response says when there are more."""
FORMULAS = ("=", "+", "-", "@", "\t", "\r")
"""What a cell begins with that a spreadsheet program would carry out."""


def exported(rows: Iterable[Sequence[object]], fields: Sequence[str], name: str) -> Response:
    """Return the first :data:`MOST` of *rows* as the file that the query string asks for.

    :param rows: redacted; one more than :data:`MOST` of them is read, to know whether there are more.
    :param fields: what each value of a row is. :param name: of the file, without its ending.
    """
    found = list(islice(rows, MOST + 1))
    kept, has_more = found[:MOST], len(found) > MOST
    body, kind, ending = (
        (as_json(kept, fields, has_more=has_more), "application/json", "json")
        if wants("json")
        else (as_csv(kept, fields, has_more=has_more), "text/csv", "csv")
    )
    response = Response(body.encode("utf-8", "backslashreplace"), content_type=f"{kind}; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="condor-{name}.{ending}"'
    response.headers["X-Condor-Truncated"] = "true" if has_more else "false"
    return response


def as_json(rows: Sequence[Sequence[object]], fields: Sequence[str], *, has_more: bool) -> str:
    whole = {"rows": [dict(zip(fields, row, strict=True)) for row in rows], "truncated": has_more}
    return json.dumps(whole, default=str)


def as_csv(rows: Sequence[Sequence[object]], fields: Sequence[str], *, has_more: bool) -> str:
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(fields)
    writer.writerows([cell_of(value) for value in row] for row in rows)
    if has_more:
        writer.writerow([f"Only the first {MOST:,} rows are here: narrow the filter."])
    return file.getvalue()


def cell_of(value: t.Any) -> object:
    """Return *value* as a cell that no spreadsheet program takes for a formula."""
    if value is None or isinstance(value, bool | int | float):
        return value
    shown = value if isinstance(value, str) else json.dumps(value, default=str)
    return f"'{shown}" if shown.startswith(FORMULAS) else shown
