-- How far each projection has come: every event up to this position is in its tables, none past it.
CREATE TABLE read_model.checkpoints (
    projection text        NOT NULL,
    version    integer     NOT NULL,
    position   bigint      NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT checkpoints_pkey PRIMARY KEY (projection),
    CONSTRAINT checkpoints_version_check CHECK (version > 0),
    CONSTRAINT checkpoints_position_check CHECK (position >= 0)
);
