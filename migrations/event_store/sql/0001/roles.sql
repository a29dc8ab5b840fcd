-- daicho_command may execute the append and read; daicho_query may read. Neither can write a row itself.
-- Roles belong to the whole cluster, so another database's migration may have made them already.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['daicho_command', 'daicho_query'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I', name);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            RAISE DEBUG 'role % exists', name;
        END;
    END LOOP;
END
$$;

REVOKE ALL ON SCHEMA event_store FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA event_store FROM PUBLIC;
GRANT USAGE ON SCHEMA event_store TO daicho_command, daicho_query;
GRANT SELECT ON ALL TABLES IN SCHEMA event_store TO daicho_command, daicho_query;
GRANT EXECUTE ON FUNCTION event_store.append TO daicho_command;
