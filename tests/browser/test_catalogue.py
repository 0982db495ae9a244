"""The catalogue's form fires a test event, of the fields that the type of its payload has."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from flask import Flask
from flask_condor import EventsManager
from flask_condor.demo.shop import USER_REGISTERED
from flask_condor.models import events
from playwright.sync_api import expect
from sqlalchemy import select

from tests.browser.conftest import Visit


@pytest.mark.parametrize("scripts", [True, False])
def test_a_test_event_is_fired(
    own_shop: Flask, own_dashboard: str, visit: Callable[..., Visit], *, scripts: bool
) -> None:
    manager: EventsManager = own_shop.extensions["condor"]
    page = visit(scripts=scripts).page
    page.goto(f"{own_dashboard}/catalogue")
    page.get_by_role("link", name=USER_REGISTERED, exact=True).click()
    number, email = page.locator("[name='field.id']"), page.locator("[name='field.email']")

    number.fill("<b>twelve</b>")
    email.fill("ada@example.com")
    page.get_by_role("button", name=f"Fire {USER_REGISTERED}").click()

    expect(page.get_by_role("alert")).to_contain_text("<b>twelve</b>")
    expect(number).to_have_value("<b>twelve</b>")

    number.fill("4711")
    page.get_by_role("button", name=f"Fire {USER_REGISTERED}").click()

    expect(page.get_by_role("status")).not_to_be_empty()
    newest = select(events.c.name, events.c.payload).order_by(events.c.fired_at.desc())
    with manager.log.read() as connection:
        made = connection.execute(newest).first()
    assert made is not None
    payload = json.loads(made.payload)
    assert (made.name, payload["id"], payload["email"]) == (USER_REGISTERED, 4711, "ada@example.com")
