-- Events that a projection could not apply, and those of the same aggregate behind them, which wait for them.
CREATE TABLE read_model.parked_events (
    projection     text        NOT NULL,
    generation     text        NOT NULL DEFAULT 'live',
    position       bigint      NOT NULL,
    aggregate_type text        NOT NULL,
    aggregate_id   uuid        NOT NULL,
    version        integer     NOT NULL,
    event_type     text        NOT NULL,
    event_id       uuid        NOT NULL,
    error          text,
    attempts       integer     NOT NULL DEFAULT 1,
    parked_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT parked_events_pkey PRIMARY KEY (projection, generation, position)
);
CREATE INDEX parked_events_aggregate_idx ON read_model.parked_events (aggregate_id, position);
ALTER TABLE read_model.parked_events OWNER TO daicho_query;
