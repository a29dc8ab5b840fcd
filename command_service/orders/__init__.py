"""Orders on the write side."""
