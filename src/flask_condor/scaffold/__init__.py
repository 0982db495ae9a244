"""What writes a user's files: a new project, the events folder, an event with its job. Standard library only."""
