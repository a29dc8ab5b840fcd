-- The newest snapshot of each stream: its aggregate's state at a version, so that a load need not start at
-- the first event. A cache: every row can be dropped at any time.
CREATE TABLE event_store.snapshots (
    aggregate_type       text        NOT NULL,
    aggregate_id         uuid        NOT NULL,
    version              integer     NOT NULL,
    state                jsonb       NOT NULL,
    state_schema_version smallint    NOT NULL,
    taken_at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT snapshots_pkey PRIMARY KEY (aggregate_type, aggregate_id),
    CONSTRAINT snapshots_version_check CHECK (version > 0),
    CONSTRAINT snapshots_state_schema_version_check CHECK (state_schema_version > 0)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON event_store.snapshots TO daicho_command;
