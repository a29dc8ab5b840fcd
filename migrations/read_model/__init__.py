"""The read model's schema history."""
