"""What a person who is signed out meanwhile, or who uses the keyboard, sees in a browser."""

from __future__ import annotations

from flask import Flask
from flask import redirect
from flask import request
from playwright.sync_api import Browser
from playwright.sync_api import expect
from werkzeug.wrappers import Response

from .conftest import served


def test_the_page_stays_when_the_app_leads_to_its_sign_in_form_meanwhile(browser: Browser, own_shop: Flask) -> None:
    is_out: list[bool] = []

    @own_shop.before_request
    def lead_out() -> Response | None:
        return redirect("/sign-in") if is_out and request.path != "/sign-in" else None

    own_shop.add_url_rule("/sign-in", "sign_in", lambda: "Who are you?")
    with served(own_shop) as url:
        page = browser.new_page()
        page.goto(f"{url}/runs?poll=2")
        is_out.append(True)
        page.wait_for_selector("text=You are signed out")

        expect(page.locator("#main h1")).to_have_text("Runs")
        is_out.clear()
        page.reload()
        expect(page.locator("#live .word")).to_have_text("Live")
        page.close()


def test_a_key_leads_to_the_button_that_retries_the_row(browser: Browser, dashboard: str) -> None:
    page = browser.new_page()
    page.goto(f"{dashboard}/runs?state=dead")

    page.keyboard.press("j")
    page.keyboard.press("r")

    expect(page.locator("tbody tr:first-child form[action*='/retry'] button")).to_be_focused()
    page.close()
