-- Orders by status, for analytics; refreshed concurrently, now and then. It says when, at which position, and which events
-- up to there were parked.
CREATE MATERIALIZED VIEW read_model.order_statistics AS
SELECT
    known.status,
    count(o.order_id) AS count,
    coalesce(sum(o.total_amount), 0.00)::numeric(24, 2) AS total_revenue,
    coalesce(round(avg(o.total_amount), 2), 0.00)::numeric(24, 2) AS average_order_value,
    coalesce((SELECT c.position FROM read_model.checkpoints c WHERE c.projection = 'order_summaries' AND c.generation = 'live'), 0)
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
