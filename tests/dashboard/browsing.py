"""A person at the dashboard, for tests: opens pages, and presses buttons with the form that stands on the page."""

from __future__ import annotations

import re
from html import unescape

from flask_condor import EventsManager
from werkzeug.test import TestResponse

SAME_SITE = {"Sec-Fetch-Site": "same-origin"}


class Person:
    """One browser; a second with the same cookies is :meth:`again`."""

    def __init__(self, manager: EventsManager) -> None:
        self.client = manager.app.test_client()
        self.manager = manager

    def open(self, path: str, status: int = 200) -> str:
        response = self.client.get(f"/condor{path}")
        assert response.status_code == status, response.text
        return response.text

    def press(self, page: str, path: str, **fields: str) -> TestResponse:
        """Send the form of *page* that leads to *path*, with other values of some *fields*."""
        form = re.search(rf'<form method="post" action="/condor{re.escape(path)}(?:#\w+)?".*?</form>', page, re.DOTALL)
        assert form, f"no form for {path}"
        found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', form[0])
        values = {name: unescape(value) for name, value in found} | fields
        return self.client.post(f"/condor{path}", data=values, headers=SAME_SITE)

    def again(self) -> Person:
        other = Person(self.manager)
        for cookie in ("condor_form",):
            kept = self.client.get_cookie(cookie, path="/condor")
            assert kept is not None
            other.client.set_cookie(cookie, kept.value, path="/condor")
        return other
