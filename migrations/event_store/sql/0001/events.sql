-- The log: one row per event, in commit order. Written by event_store.append alone.
CREATE TABLE event_store.events (
    position       bigint      NOT NULL,
    aggregate_type text        NOT NULL,
    aggregate_id   uuid        NOT NULL,
    version        integer     NOT NULL,
    event_type     text        NOT NULL,
    schema_version smallint    NOT NULL,
    event_id       uuid        NOT NULL,
    event_data     jsonb       NOT NULL,
    metadata       jsonb       NOT NULL,
    occurred_at    timestamptz NOT NULL,
    recorded_at    timestamptz NOT NULL,
    CONSTRAINT events_pkey PRIMARY KEY (position),
    CONSTRAINT events_stream_version_key UNIQUE (aggregate_type, aggregate_id, version),
    CONSTRAINT events_event_id_key UNIQUE (event_id),
    CONSTRAINT events_position_check CHECK (position > 0),
    CONSTRAINT events_version_check CHECK (version > 0),
    CONSTRAINT events_schema_version_check CHECK (schema_version > 0),
    -- Names carry no separator of the seal's canonical form.
    CONSTRAINT events_aggregate_type_check CHECK (aggregate_type ~ '^[a-z][a-z0-9_]*$'),
    CONSTRAINT events_event_type_check CHECK (event_type ~ '^[A-Za-z][A-Za-z0-9_.]*$')
);

CREATE INDEX events_event_type_position_idx ON event_store.events (event_type, position);
CREATE INDEX events_occurred_at_idx ON event_store.events USING brin (occurred_at);
