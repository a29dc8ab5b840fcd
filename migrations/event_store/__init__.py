"""The event log's schema history."""
