from __future__ import annotations

from flask_condor import Context
from flask_condor import Event

from events.mail import write_mail


def send_process_completed_email(event: Event, ctx: Context) -> None:
    user, filenames = event.payload["user"], event.payload["filenames"]
    write_mail(
        event,
        ctx,
        to=user.email,
        subject=f"{len(filenames)} of your files received",
        body="We are indexing:\n\n" + "\n".join(f"- {filename}" for filename in filenames) + "\n",
    )
