-- Appends many commits in one transaction and says for each what became of it. (As in 0002; a commit may
-- name the stream's last event.)
--
-- A commit is a stream, the version that the stream is expected to be at (0: it does not exist) and
-- one or more events. event_commits gives each event the number of its commit: its 1-based index in
-- stream_ids. A call holds at most one commit per stream, and no event id twice. A version is a number that another
-- log, as after a failover that lost its tail, may give to another event: where last_event_ids is not null, the
-- stream's last event must be that one.
--
-- One row per commit:
--   appended        version, first_position and last_position are those of its events (version: the last one's)
--   duplicate       these event ids are in this stream already; the same columns, of the events recorded then
--   conflict        version: what the stream is at; it may be the expected one, of another event
--   event_id_taken  its first event id belongs to another commit: first_position tells where
DROP FUNCTION event_store.append(
    text[], uuid[], integer[], integer[], text[], smallint[], uuid[], text[], text[], timestamptz[]
);
CREATE FUNCTION event_store.append(
    stream_types text[], stream_ids uuid[], expected_versions integer[],
    event_commits integer[], event_types text[], schema_versions smallint[], event_ids uuid[],
    event_data text[], event_metadata text[], occurred_ats timestamptz[], last_event_ids uuid[] DEFAULT NULL
) RETURNS TABLE (commit_number integer, outcome text, version integer, first_position bigint, last_position bigint)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- A plan cached while the log was small would scan it whole once it is large.
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
DECLARE
    head     bigint := 0;    -- last position before this call
    chain    bytea  := '';   -- digest of the last seal
    sealed   bigint;         -- last position after this call
    recorded timestamptz;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'event_store.append runs at READ COMMITTED, not at %', current_setting('transaction_isolation')
            USING ERRCODE = 'invalid_transaction_state';
    END IF;

    -- Appends take turns, so positions are gapless and commit order is position order. At READ COMMITTED
    -- each statement below sees what was committed before the lock was granted.
    PERFORM pg_advisory_xact_lock(7234081526114);

    SELECT s.last_position, s.digest INTO head, chain
    FROM event_store.seals s ORDER BY s.last_position DESC LIMIT 1;
    head := coalesce(head, 0);
    chain := coalesce(chain, '');
    recorded := clock_timestamp();

    RETURN QUERY
    WITH incoming AS MATERIALIZED (
        SELECT *
        FROM unnest(event_commits, event_types, schema_versions, event_ids, event_data, event_metadata, occurred_ats)
            WITH ORDINALITY
            AS e (commit_number, event_type, schema_version, event_id, data, metadata, occurred_at, ordinal)
    ), commits AS (
        SELECT c.number, c.aggregate_type, c.aggregate_id, c.expected_version, c.last_event_id,
            count(*) AS size, min(e.ordinal) AS first_ordinal, array_agg(e.event_id ORDER BY e.ordinal) AS event_ids
        FROM unnest(stream_types, stream_ids, expected_versions, last_event_ids)
            WITH ORDINALITY AS c (aggregate_type, aggregate_id, expected_version, last_event_id, number)
        JOIN incoming e ON e.commit_number = c.number
        GROUP BY c.number, c.aggregate_type, c.aggregate_id, c.expected_version, c.last_event_id
    ), checked AS MATERIALIZED (
        SELECT c.*,
            known.position AS known_position,
            known.version AS known_version,
            coalesce(newest.version, 0) AS current_version,
            newest.event_id AS current_event_id
        FROM commits c
        LEFT JOIN LATERAL (
            SELECT e.version, e.event_id FROM event_store.events e
            WHERE e.aggregate_type = c.aggregate_type AND e.aggregate_id = c.aggregate_id
            ORDER BY e.version DESC LIMIT 1
        ) AS newest ON true
        LEFT JOIN LATERAL (
            SELECT e.position, e.version FROM event_store.events e WHERE e.event_id = c.event_ids[1]
        ) AS known ON true
    ), judged AS MATERIALIZED (
        SELECT c.*,
            CASE
                WHEN c.known_position IS NULL AND c.current_version = c.expected_version
                    AND (c.last_event_id IS NULL OR c.current_event_id = c.last_event_id) THEN 'appended'
                WHEN c.known_position IS NULL THEN 'conflict'
                WHEN c.event_ids = (
                    SELECT array_agg(e.event_id ORDER BY e.position) FROM event_store.events e
                    WHERE e.position BETWEEN c.known_position AND c.known_position + c.size - 1
                        AND e.aggregate_type = c.aggregate_type AND e.aggregate_id = c.aggregate_id
                ) THEN 'duplicate'
                ELSE 'event_id_taken'
            END AS outcome
        FROM checked c
    ), placed AS MATERIALIZED (
        SELECT j.*,
            head + 1 - j.size
                + sum(j.size) FILTER (WHERE j.outcome = 'appended') OVER (ORDER BY j.number) AS start_position
        FROM judged j
    ), inserted AS (
        INSERT INTO event_store.events (
            position, aggregate_type, aggregate_id, version, event_type, schema_version,
            event_id, event_data, metadata, occurred_at, recorded_at
        )
        SELECT p.start_position + (e.ordinal - p.first_ordinal), p.aggregate_type, p.aggregate_id,
            p.expected_version + 1 + (e.ordinal - p.first_ordinal), e.event_type, e.schema_version,
            e.event_id, e.data::jsonb, e.metadata::jsonb, e.occurred_at, recorded
        FROM placed p
        JOIN incoming e ON e.commit_number = p.number
        WHERE p.outcome = 'appended'
        ORDER BY 1
        RETURNING position, event_store.canonical_form(
            position, aggregate_type, aggregate_id, version, event_type, schema_version,
            event_id, event_data, metadata, occurred_at, recorded_at
        ) AS canonical
    ), seal AS (
        INSERT INTO event_store.seals (last_position, first_position, digest, locators)
        SELECT max(i.position), min(i.position),
            sha256(chain || convert_to(string_agg(i.canonical, '' ORDER BY i.position), 'UTF8')),
            string_agg(substr(sha256(convert_to(i.canonical, 'UTF8')), 1, 4), ''::bytea ORDER BY i.position)
        FROM inserted i
        HAVING count(*) > 0
    )
    SELECT p.number::integer, p.outcome,
        (CASE p.outcome
            WHEN 'appended' THEN p.expected_version + p.size
            WHEN 'duplicate' THEN p.known_version + p.size - 1
            ELSE p.current_version
        END)::integer,
        (CASE p.outcome WHEN 'appended' THEN p.start_position WHEN 'conflict' THEN NULL ELSE p.known_position END)::bigint,
        (CASE p.outcome
            WHEN 'appended' THEN p.start_position + p.size - 1
            WHEN 'duplicate' THEN p.known_position + p.size - 1
        END)::bigint
    FROM placed p
    ORDER BY p.number;

    SELECT s.last_position INTO sealed FROM event_store.seals s ORDER BY s.last_position DESC LIMIT 1;
    IF sealed > head THEN
        PERFORM pg_notify('daicho_events', sealed::text);
    END IF;
END
$$;

REVOKE ALL ON FUNCTION event_store.append FROM PUBLIC;
GRANT EXECUTE ON FUNCTION event_store.append TO daicho_command;
