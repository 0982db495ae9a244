"""The commands of ``flask events`` that look after the event log, a file for each subject."""
