"""Orders on the read side."""
