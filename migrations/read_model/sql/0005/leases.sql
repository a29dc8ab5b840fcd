-- Which replica projects a partition, of whichever projections are divided into so many. The fence grows with every change of
-- the holder, and rows are never removed. A crash of PostgreSQL may take the last changes back, fences and all: then the locks on
-- checkpoints still keep two holders of one fence from applying an event twice.
CREATE TABLE read_model.leases (
    partitions integer     NOT NULL,
    partition  integer     NOT NULL,
    holder     uuid,
    fence      bigint      NOT NULL DEFAULT 0,
    expires_at timestamptz NOT NULL DEFAULT '-infinity',
    CONSTRAINT leases_pkey PRIMARY KEY (partitions, partition)
);
ALTER TABLE read_model.leases OWNER TO daicho_query;

-- The replicas that can project. One is gone when it has not renewed its row in time, or PostgreSQL has seen its session end.
CREATE TABLE read_model.replicas (
    replica    uuid        NOT NULL,
    pid        integer     NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT replicas_pkey PRIMARY KEY (replica)
);
ALTER TABLE read_model.replicas OWNER TO daicho_query;
