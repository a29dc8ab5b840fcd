"""Parts against a real PostgreSQL."""
