-- A snapshot is of a stream up to one event: a version alone may be another event's in a log that was restored.
DELETE FROM event_store.snapshots;
ALTER TABLE event_store.snapshots ADD COLUMN last_event_id uuid;
