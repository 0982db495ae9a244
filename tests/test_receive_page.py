"""The page on receiving events: what it has senders do is understood by an app that does what it says."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_condor import Condor
from werkzeug.serving import make_server

from tests.servers import ROOT

PAGE = (ROOT / "docs/how-to/receive-events.md").read_text()
SECRET = "whsec_" + "c2Vj" * 8


def sender_of_the_page() -> Callable[..., int]:
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", PAGE, re.S) if "def send(" in block)
    made: dict[str, Any] = {}
    exec(code, made)
    send: Callable[..., int] = made["send"]
    return send


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_sender_of_the_page_is_let_in(tmp_path: Path) -> None:
    app = Flask("receiver", instance_path=str(tmp_path))
    app.config["CONDOR_TRIGGER_SECRETS"] = [SECRET]
    Condor(app)
    server = make_server("127.0.0.1", 0, app)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    status = sender_of_the_page()(f"http://127.0.0.1:{server.port}/trigger", SECRET, "order.paid", {"id": 17})

    server.shutdown()
    server.server_close()
    assert status == 200
