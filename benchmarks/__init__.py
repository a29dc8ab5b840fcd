"""Measurements: every result is a ratio of two things measured in turn in one run."""
