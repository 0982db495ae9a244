from flask_condor import EventName

from events.payloads import UserRegistered

USER_REGISTERED = EventName("user.registered", UserRegistered)
PASSWORD_CHANGED = "password-changed"
FIRST_UPLOAD_REMINDER_DUE = "first-upload-reminder-due"
FILE_UPLOADED = "file.uploaded"
FILE_PROCESSED = "file.processed"
PROCESS_COMPLETED = "process-completed"
