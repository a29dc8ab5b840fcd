"""The two Alembic histories: the event store's and the read model's."""
