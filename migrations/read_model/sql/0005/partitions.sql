-- A generation is divided into `partitions` parts by a hash of its aggregates' ids; each has a checkpoint of its own. All
-- other columns are of the generation as a whole, and the same in each. One part, the whole, is what there was before.
ALTER TABLE read_model.checkpoints
    ADD COLUMN partitions integer NOT NULL DEFAULT 1,
    ADD COLUMN partition integer NOT NULL DEFAULT 0,
    DROP CONSTRAINT checkpoints_pkey,
    ADD CONSTRAINT checkpoints_pkey PRIMARY KEY (projection, generation, partition),
    ADD CONSTRAINT checkpoints_partition_check CHECK (partition >= 0 AND partition < partitions AND partitions <= 64);

-- The release before takes each of these checkpoints for the whole: it must not run once there is more than one.
CREATE OR REPLACE FUNCTION read_model.serves_from() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN EXISTS (SELECT FROM read_model.checkpoints WHERE partitions > 1) THEN '0005' ELSE '0004' END;
