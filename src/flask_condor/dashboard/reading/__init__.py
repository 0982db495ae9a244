"""What the screens read of the event log, where no command reads the same."""
