-- daicho_query owns the read model. The role may exist already, made by another database's migration or
-- by the event store's, where both are in one cluster.
DO $$
BEGIN
    BEGIN
        CREATE ROLE daicho_query;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
        RAISE DEBUG 'role daicho_query exists';
    END;
    IF NOT pg_has_role(current_user, 'daicho_query', 'SET') THEN
        EXECUTE format('GRANT daicho_query TO %I', current_user);
    END IF;
END
$$;

REVOKE ALL ON SCHEMA read_model FROM PUBLIC;
ALTER SCHEMA read_model OWNER TO daicho_query;
ALTER TABLE read_model.checkpoints OWNER TO daicho_query;
GRANT SELECT ON read_model.alembic_version TO daicho_query;
