"""The event log's vocabulary and its reading side; appending is the command service's."""
