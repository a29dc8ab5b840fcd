"""Realistic orders: as live traffic over HTTP, and as months of history in the log."""
