"""Links within the dashboard: each carries the period, and the poll interval, of the page that it stands on."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote
from urllib.parse import urlencode
from urllib.parse import urlsplit

from flask import request

from .here import base

BACK = "condor_back"
"""The field of a form that says on which page it stands."""
STICKY = ("period", "since", "until", "poll")
"""The arguments that go along from page to page."""


def link(path: str, *parts: object, **query: object) -> str:
    """Return the URL of *path* ("/runs"), with *parts* as further segments, escaped.

    :param query: arguments; those that are None are left out, also of what is carried along.
    """
    whole = base() + path + "".join(f"/{quote(str(part), safe='', errors='replace')}" for part in parts)
    return with_query(whole, carried() | query)


def carried() -> dict[str, object]:
    """Return what goes along from this page, as it stands in its query string."""
    return {key: request.args[key] for key in STICKY if key in request.args}


def changed(**query: object) -> str:
    """Return the URL of this page with other arguments, from its first row on; those that are None are taken out."""
    return this_page(**{"cursor": None} | query)


def this_page(**query: object) -> str:
    """Return the same from the row on with which the page begins."""
    kept = {key: request.args.getlist(key) for key in request.args if key != "format"}
    return with_query(this_path(), kept | query)


def this_path() -> str:
    """Return the path of this page, as a browser asks for it; where a form is shown again, of the page it was on."""
    was = request.form.get(BACK, "") if request.method == "POST" else ""
    return urlsplit(was).path if is_ours(was) else request.script_root + quote(request.path)


def without_period() -> list[tuple[str, str]]:
    """Return the arguments of this page that go along to another period of it."""
    gone = ("period", "since", "until", "cursor", "format")
    return [(key, value) for key, value in request.args.items(multi=True) if key not in gone]


def with_query(path: str, query: Mapping[str, object]) -> str:
    lists = {key: value if isinstance(value, list) else [value] for key, value in query.items()}
    given = [(key, str(one)) for key, values in lists.items() for one in values if one is not None]
    return f"{path}?{urlencode(given, errors='replace')}" if given else path


def is_ours(url: str) -> bool:
    """Tell whether *url* is the path of a page of the dashboard."""
    if not url.isprintable() or "\\" in url:
        return False
    try:
        split = urlsplit(url)
    except ValueError:
        return False
    is_path = not split.scheme and not split.netloc and not url.startswith("//")
    return is_path and (split.path == base() or split.path.startswith(f"{base()}/")) and "/.." not in split.path
