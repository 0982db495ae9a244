from __future__ import annotations

from flask_condor import resolve_events_manager

from .events.event_names import ORDER_COMPLETED
from .events.event_names import USER_REGISTERED
from .events.jobs.count_items import count_items
from .events.jobs.make_avatar import make_avatar
from .events.jobs.send_welcome_email import send_welcome_email
from .events.jobs.tell_crm import tell_crm


def register_events() -> None:
    events_manager = resolve_events_manager()
    events_manager.register(USER_REGISTERED, tell_crm, make_avatar, send_welcome_email, run="queued")
    events_manager.register(ORDER_COMPLETED, count_items, run="queued")
