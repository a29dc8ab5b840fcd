-- Back to one checkpoint for each generation, which only those that are not divided have.
DO $$
BEGIN
    IF EXISTS (SELECT FROM read_model.checkpoints WHERE partitions > 1) THEN
        RAISE EXCEPTION 'a projection is divided into partitions: `daicho rebuild --all --partitions 1`, then `daicho rebuild --all --finish`';
    END IF;
END
$$;
CREATE OR REPLACE FUNCTION read_model.serves_from() RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '0004';
DROP TABLE read_model.leases, read_model.replicas;
ALTER TABLE read_model.checkpoints
    DROP CONSTRAINT checkpoints_pkey,
    DROP COLUMN partitions,
    DROP COLUMN partition,
    ADD CONSTRAINT checkpoints_pkey PRIMARY KEY (projection, generation);
