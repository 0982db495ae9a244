"""Takes the pictures of the docs anew from the demo: ``.venv/bin/python .ci/screenshots.py``; needs Chromium."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

from flask_condor.demo.app import create_demo
from flask_condor.demo.shop import ORDER_PLACED
from flask_condor.models import deliveries
from flask_condor.models import events
from playwright.sync_api import sync_playwright
from sqlalchemy import select
from werkzeug.serving import make_server

FOLDER = Path(__file__).parents[1] / "docs" / "images"
LARGEST = 150_000
"""Bytes of one picture."""


def main() -> None:
    """Write each screen in both themes."""
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        shop = create_demo(Path(folder))
        server = make_server("127.0.0.1", 0, shop, threaded=True)
        Thread(target=server.serve_forever, daemon=True).start()
        log = shop.extensions["condor"].log
        failed = select(events.c.id).join(deliveries).where(events.c.name == ORDER_PLACED, deliveries.c.state == "dead")
        with log.read() as connection:
            event = connection.scalar(failed.order_by(events.c.fired_at.desc()))
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for theme in ("light", "dark"):
            page = browser.new_page(color_scheme=theme, viewport={"width": 1280, "height": 800})
            for name, path in {"overview": "/", "event": f"/events/{event}?tab=jobs", "failures": "/failures"}.items():
                page.goto(f"http://127.0.0.1:{server.server_port}/condor{path}")
                page.wait_for_load_state("networkidle")
                picture = FOLDER / f"{name}-{theme}.png"
                page.screenshot(path=picture)
                if picture.stat().st_size > LARGEST:
                    sys.exit(f"{picture} has {picture.stat().st_size:,} bytes, more than {LARGEST:,}.")
        browser.close()
        server.shutdown()
        log.engine.dispose()


if __name__ == "__main__":
    main()
