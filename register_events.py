"""Which job runs for which event: the whole program's reactions on one screen."""

from __future__ import annotations

from flask_condor import resolve_events_manager

from events.event_names import FILE_PROCESSED
from events.event_names import FILE_UPLOADED
from events.event_names import FIRST_UPLOAD_REMINDER_DUE
from events.event_names import PASSWORD_CHANGED
from events.event_names import PROCESS_COMPLETED
from events.event_names import USER_REGISTERED
from events.jobs.process_upload import process_upload
from events.jobs.send_first_upload_reminder import send_first_upload_reminder
from events.jobs.send_password_changed_notification_email import send_password_changed_notification_email
from events.jobs.send_process_completed_email import send_process_completed_email
from events.jobs.send_welcome_email import send_welcome_email
from events.jobs.write_audit_entry import write_audit_entry


def register_events() -> None:
    events_manager = resolve_events_manager()
    events_manager.register(USER_REGISTERED, write_audit_entry, run="after_commit")
    events_manager.register(USER_REGISTERED, send_welcome_email, run="queued")
    events_manager.register(FIRST_UPLOAD_REMINDER_DUE, send_first_upload_reminder)
    events_manager.register(PASSWORD_CHANGED, write_audit_entry)
    events_manager.register(PASSWORD_CHANGED, send_password_changed_notification_email)
    events_manager.register(FILE_UPLOADED, write_audit_entry, run="after_commit")
    events_manager.register(FILE_UPLOADED, process_upload, run="queued")
    events_manager.register(FILE_PROCESSED, write_audit_entry, run="after_commit")
    events_manager.register(PROCESS_COMPLETED, write_audit_entry)
    events_manager.register(PROCESS_COMPLETED, send_process_completed_email, run="after_response")
