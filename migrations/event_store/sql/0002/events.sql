-- For the story that events belong to: `GET /events?correlation_id=`.
CREATE INDEX events_correlation_id_position_idx ON event_store.events ((metadata ->> 'correlation_id'), position);
