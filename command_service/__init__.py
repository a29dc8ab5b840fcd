"""The command service: HTTP commands in, events appended to the log."""
