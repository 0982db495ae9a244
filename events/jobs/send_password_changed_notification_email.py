from __future__ import annotations

from flask_condor import Context
from flask_condor import Event

from events.mail import write_mail


def send_password_changed_notification_email(event: Event, ctx: Context) -> None:
    user = event.payload["user"]
    write_mail(
        event,
        ctx,
        to=user.email,
        subject="Your password was changed",
        body=f"Hello {user.name},\n\nif it was not you who changed your password, answer this mail.\n",
    )
