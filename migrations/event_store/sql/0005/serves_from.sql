-- The oldest revision whose release runs on this schema too: a migration that only adds leaves it, one that takes something
-- away raises it. So a release that is still running knows whether a schema that is newer than itself serves it.
CREATE FUNCTION event_store.serves_from() RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '0005';

REVOKE ALL ON FUNCTION event_store.serves_from FROM PUBLIC;
GRANT EXECUTE ON FUNCTION event_store.serves_from TO daicho_command, daicho_query;
