"""The dashboard: one page, and the files that bring it to life in a browser."""
