from __future__ import annotations

from flask_condor import Context
from flask_condor import Event

from events.mail import write_mail
from events.payloads import UserRegistered


def send_welcome_email(event: Event[UserRegistered], ctx: Context) -> None:
    name, email = event.payload["name"], event.payload["email"]
    write_mail(
        event,
        ctx,
        to=email,
        subject=f"Welcome, {name}",
        body=f"Hello {name},\n\nyour account is ready. Upload a text and we will index it for you.\n",
    )
