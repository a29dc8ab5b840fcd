-- The view is at the least position of the projection's partitions. Who had rights on it keeps them.
CREATE TEMPORARY TABLE statistics_grants ON COMMIT DROP AS
SELECT acl.privilege_type AS privilege, coalesce(quote_ident(r.rolname), 'PUBLIC') AS grantee
FROM pg_class c, aclexplode(c.relacl) acl LEFT JOIN pg_roles r ON r.oid = acl.grantee
WHERE c.oid = 'read_model.order_statistics'::regclass AND acl.grantee <> c.relowner;

DROP MATERIALIZED VIEW read_model.order_statistics;
CREATE MATERIALIZED VIEW read_model.order_statistics AS
SELECT
    known.status,
    count(o.order_id) AS count,
    coalesce(sum(o.total_amount), 0.00)::numeric(24, 2) AS total_revenue,
    coalesce(round(avg(o.total_amount), 2), 0.00)::numeric(24, 2) AS average_order_value,
    coalesce((SELECT min(c.position) FROM read_model.checkpoints c WHERE c.projection = 'order_summaries' AND c.generation = 'live'), 0)
        AS position,
    ARRAY(
        SELECT p.position FROM read_model.parked_events p
        WHERE p.projection = 'order_summaries' AND p.generation = 'live' ORDER BY p.position
    ) AS parked,
    statement_timestamp() AS refreshed_at
FROM (VALUES ('pending'), ('confirmed'), ('shipped'), ('cancelled')) AS known (status)
LEFT JOIN read_model.order_summaries o ON o.status = known.status
GROUP BY known.status;
CREATE UNIQUE INDEX order_statistics_status_idx ON read_model.order_statistics (status);
ALTER MATERIALIZED VIEW read_model.order_statistics OWNER TO daicho_query;

DO $$
DECLARE
    one record;
BEGIN
    FOR one IN SELECT * FROM statistics_grants LOOP
        EXECUTE format('GRANT %s ON read_model.order_statistics TO %s', one.privilege, one.grantee);
    END LOOP;
END
$$;
