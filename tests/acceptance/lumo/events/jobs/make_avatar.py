from __future__ import annotations

import time
from pathlib import Path

from flask_condor import Context
from flask_condor import Event


def make_avatar(event: Event, ctx: Context) -> None:
    """Take 2 seconds, and then as long as it takes until somebody lets it end."""
    time.sleep(2)
    while not Path(ctx.app.config["MAY_END"]).exists():
        time.sleep(0.05)
