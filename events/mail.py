"""Writes mails to the outbox folder, one file each, instead of sending them."""

from __future__ import annotations

from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path

from flask_condor import Context
from flask_condor import Event


def write_mail(event: Event, ctx: Context, *, to: str, subject: str, body: str) -> Path:
    """Write the mail about *event*, named after it, so that the same event overwrites rather than doubles it."""
    mail = EmailMessage()
    mail["From"] = "service@example.com"
    mail["To"] = to
    mail["Subject"] = subject
    mail["Date"] = format_datetime(event.fired_at)
    mail.set_content(body)
    outbox = Path(ctx.app.config["OUTBOX"])
    outbox.mkdir(parents=True, exist_ok=True)
    path = outbox / f"{event.id}.eml"
    path.write_bytes(mail.as_bytes())
    return path
