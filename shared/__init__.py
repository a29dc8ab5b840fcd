"""What both services share: the event contract, the log's reading side, and their common ground."""
