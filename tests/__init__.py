"""The test suite, by level."""
