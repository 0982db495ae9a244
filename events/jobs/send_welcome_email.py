from __future__ import annotations

from flask_condor import Context
from flask_condor import Event

from events.mail import write_mail


def send_welcome_email(event: Event, ctx: Context) -> None:
    user = event.payload["user"]
    write_mail(
        event,
        ctx,
        to=user.email,
        subject=f"Welcome, {user.name}",
        body=f"Hello {user.name},\n\nyour account is ready. Upload a text and we will index it for you.\n",
    )
