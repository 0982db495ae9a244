from __future__ import annotations

from flask_condor import Context
from flask_condor import Event
from sqlalchemy import exists
from sqlalchemy import select

from events.mail import write_mail
from models import Upload
from models import open_session


def send_first_upload_reminder(event: Event, ctx: Context) -> None:
    """Remind a user who has not uploaded anything since signing up."""
    with open_session() as session:
        if session.scalar(select(exists().where(Upload.owner_id == event.payload["id"]))):
            return
    write_mail(
        event,
        ctx,
        to=event.payload["email"],
        subject="Nothing to search yet",
        body=f"Hello {event.payload['name']},\n\nupload a first text and we will index it for you.\n",
    )
