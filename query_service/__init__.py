"""The query service: follows the log, projects it into its read models, answers queries."""
