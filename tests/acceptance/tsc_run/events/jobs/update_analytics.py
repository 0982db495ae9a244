from __future__ import annotations

from flask_condor import Context
from flask_condor import Event


def update_analytics(event: Event, ctx: Context) -> str:
    return f"{event.type} {event.data['id']}"
