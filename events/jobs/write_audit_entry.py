from __future__ import annotations

from flask_condor import Context
from flask_condor import Event

from models import AuditEntry
from models import open_session


def write_audit_entry(event: Event, ctx: Context) -> None:
    detail = ", ".join(f"{key}: {getattr(value, 'email', value)}" for key, value in event.payload.items())
    with open_session() as session, session.begin():
        session.add(AuditEntry(event_id=event.id, event_name=event.name, detail=detail))
