-- The bytes of one event that a seal covers: its columns in table order, one per line, times as
-- microseconds since 1970-01-01 UTC, jsonb in PostgreSQL's own text form (which holds no line break).
-- A seal's digest is SHA-256 over the previous digest (none for the first seal) followed by the
-- UTF-8 of its events' canonical forms in order of position, each ended by one line feed.
CREATE FUNCTION event_store.canonical_form(
    "position" bigint, aggregate_type text, aggregate_id uuid, version integer, event_type text,
    schema_version smallint, event_id uuid, event_data jsonb, metadata jsonb,
    occurred_at timestamptz, recorded_at timestamptz
) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN
    "position"::text || E'\n' || aggregate_type || E'\n' || aggregate_id::text || E'\n' || version::text || E'\n'
    || event_type || E'\n' || schema_version::text || E'\n' || event_id::text || E'\n'
    || event_data::text || E'\n' || metadata::text || E'\n'
    || (extract(epoch FROM occurred_at) * 1000000)::bigint::text || E'\n'
    || (extract(epoch FROM recorded_at) * 1000000)::bigint::text || E'\n';
