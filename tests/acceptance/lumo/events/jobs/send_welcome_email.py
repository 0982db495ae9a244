from __future__ import annotations

from flask_condor import Context
from flask_condor import Event


def send_welcome_email(event: Event, ctx: Context) -> dict[str, str]:
    return {"to": event.data["email"], "about": event.type}
