"""The fault suite: real processes under load and faults, and a checker that holds what clients were told against the log."""
