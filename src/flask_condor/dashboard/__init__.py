"""The dashboard: what was fired, what became of it, and what to do about it, in the app's own blueprint."""
