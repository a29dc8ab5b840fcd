-- The log is append-only for everyone, its owner and superusers included. Statement triggers fire
-- even where no row matches; ENABLE ALWAYS holds under session_replication_role = replica too.
CREATE FUNCTION event_store.refuse_change() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION '% of %.% is refused: the log is append-only', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END
$$;

CREATE TRIGGER events_are_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON event_store.events
    FOR EACH STATEMENT EXECUTE FUNCTION event_store.refuse_change();
ALTER TABLE event_store.events ENABLE ALWAYS TRIGGER events_are_append_only;

CREATE TRIGGER seals_are_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON event_store.seals
    FOR EACH STATEMENT EXECUTE FUNCTION event_store.refuse_change();
ALTER TABLE event_store.seals ENABLE ALWAYS TRIGGER seals_are_append_only;
