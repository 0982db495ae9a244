from __future__ import annotations

from flask_condor import Context
from flask_condor import Event


def count_items(event: Event, ctx: Context) -> dict[str, int]:
    return {item["id"]: item["quantity"] for item in event.data["items"]}
