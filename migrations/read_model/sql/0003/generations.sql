-- Generations: a projection's tables are live in read_model, being rebuilt in read_model_next, or kept after a rebuild
-- in read_model_previous; each has a checkpoint of its own.
ALTER TABLE read_model.checkpoints
    ADD COLUMN generation text NOT NULL DEFAULT 'live',
    ADD COLUMN state text NOT NULL DEFAULT 'following',
    ADD COLUMN has_parked boolean NOT NULL DEFAULT false,
    ADD COLUMN run uuid,
    ADD COLUMN started_at timestamptz,
    -- The position at which it was then, from which it is brought on.
    ADD COLUMN started_from bigint NOT NULL DEFAULT 0,
    ADD COLUMN report jsonb,
    DROP CONSTRAINT checkpoints_pkey,
    ADD CONSTRAINT checkpoints_pkey PRIMARY KEY (projection, generation),
    ADD CONSTRAINT checkpoints_generation_check CHECK (generation IN ('live', 'next', 'previous')),
    -- requested: to be built; loading: by a run, up to its position; loaded: to be brought on from there;
    -- following: moved by the projector; kept: left alone.
    ADD CONSTRAINT checkpoints_state_check CHECK (state IN ('requested', 'loading', 'loaded', 'following', 'kept'));

-- What a run has to load, in pieces that are loaded each in one transaction: the aggregates of a type whose ids lie in a range.
-- estimate: about how many events that is; events: how many it was.
CREATE TABLE read_model.rebuild_ranges (
    run            uuid    NOT NULL,
    number         integer NOT NULL,
    aggregate_type text    NOT NULL,
    first_id       uuid    NOT NULL,
    last_id        uuid    NOT NULL,
    estimate       bigint  NOT NULL,
    events         bigint,
    CONSTRAINT rebuild_ranges_pkey PRIMARY KEY (run, number)
);
ALTER TABLE read_model.rebuild_ranges OWNER TO daicho_query;

CREATE SCHEMA read_model_next;
CREATE SCHEMA read_model_previous;
ALTER SCHEMA read_model_next OWNER TO daicho_query;
ALTER SCHEMA read_model_previous OWNER TO daicho_query;
