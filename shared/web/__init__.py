"""What both services do the same way over HTTP: strict JSON, problems, correlation, health."""
